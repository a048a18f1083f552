#include "options.h"

#include <QtCore/QCommandLineParser>
#include <QtCore/QFile>
#include <QtCore/QList>
#include <QtCore/QMap>
#include <QtNetwork/QSsl>
#include <QtNetwork/QSslCertificate>
#include <QtNetwork/QSslKey>
#include <QtNetwork/QSslSocket>

#include <cstdio>

namespace {

const char usageText[] =
    "usage: qtpeer server [--address A] [--port P] [--psk HEX] [--identity NAME] [--hint TEXT]\n"
    "                     [--cert FILE --key FILE] [--ca FILE] [--verify none|query|peer]\n"
    "                     [--no-cookies] [--secret HEX] [--hash NAME] [--min-version 1.0|1.2]\n"
    "                     [--ciphers LIST] [--mtu N] [--connections N] [--messages N]\n"
    "                     [--timeout SECONDS]\n"
    "       qtpeer client --port P [--address A] [--psk HEX --identity NAME]\n"
    "                     [--cert FILE --key FILE] [--ca FILE] [--verify none|query|peer]\n"
    "                     [--name NAME] [--min-version 1.0|1.2] [--ciphers LIST] [--mtu N]\n"
    "                     [--message TEXT] [--count N] [--timeout SECONDS]\n"
    "       qtpeer cookie --secret HEX --hash NAME --address A --port P --hello HEX\n"
    "       qtpeer verify --secret HEX --hash NAME --address A --port P --hello HEX\n"
    "hashes: md5 sha1 sha256 sha384 sha512 sha3-256\n";

// The arguments of one command, by option name. Getters throw OptionError.
class Arguments
{
public:
    Arguments(const QStringList &arguments, const QStringList &valued,
              const QStringList &flags = {})
    {
        for (const QString &name : valued)
            parser.addOption({name, QString(), QStringLiteral("value")});
        for (const QString &name : flags)
            parser.addOption(QCommandLineOption(name));
        // The parser takes the first string for the name of the program.
        if (!parser.parse(QStringList(QStringLiteral("qtpeer")) + arguments))
            throw OptionError{parser.errorText()};
        if (!parser.positionalArguments().isEmpty())
            throw OptionError{QStringLiteral("unexpected argument: ")
                              + parser.positionalArguments().first()};
    }

    bool has(const QString &name) const { return parser.isSet(name); }

    QString text(const QString &name, const QString &fallback = {}) const
    {
        return has(name) ? parser.value(name) : fallback;
    }

    QByteArray bytes(const QString &name) const { return text(name).toUtf8(); }

    QByteArray hex(const QString &name) const
    {
        const QByteArray digits = bytes(name);
        const QByteArray value = QByteArray::fromHex(digits);
        if (value.toHex() != digits.toLower())
            throw OptionError{QStringLiteral("--%1: not hexadecimal").arg(name)};
        return value;
    }

    int number(const QString &name, int fallback, int least, int most) const
    {
        if (!has(name))
            return fallback;
        bool good = false;
        const int value = parser.value(name).toInt(&good);
        if (!good || value < least || value > most)
            throw OptionError{QStringLiteral("--%1: not a number from %2 to %3")
                                  .arg(name).arg(least).arg(most)};
        return value;
    }

    int milliseconds(const QString &name, int fallback) const
    {
        if (!has(name))
            return fallback;
        bool good = false;
        const double seconds = parser.value(name).toDouble(&good);
        if (!good || !(seconds > 0 && seconds <= 86400))
            throw OptionError{QStringLiteral("--%1: not a number of seconds").arg(name)};
        return qMax(1, static_cast<int>(seconds * 1000));
    }

    void require(const QStringList &names) const
    {
        for (const QString &name : names) {
            if (!has(name))
                throw OptionError{QStringLiteral("--%1 is missing").arg(name)};
        }
    }

    template <typename Value>
    Value choice(const QString &name, const QMap<QString, Value> &values, Value fallback) const
    {
        if (!has(name))
            return fallback;
        const auto found = values.constFind(parser.value(name));
        if (found == values.constEnd())
            throw OptionError{QStringLiteral("--%1: not one of %2")
                                  .arg(name, values.keys().join(QStringLiteral(", ")))};
        return *found;
    }

private:
    QCommandLineParser parser;
};

QByteArray readFile(const QString &path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        throw OptionError{path + QStringLiteral(": ") + file.errorString(), ExitFailed};
    return file.readAll();
}

QList<QSslCertificate> readCertificates(const QString &path)
{
    const auto certificates = QSslCertificate::fromData(readFile(path), QSsl::Pem);
    if (certificates.isEmpty())
        throw OptionError{path + QStringLiteral(": no certificate in PEM"), ExitFailed};
    return certificates;
}

QSslKey readKey(const QString &path)
{
    const QByteArray pem = readFile(path);
    for (const auto algorithm : {QSsl::Ec, QSsl::Rsa, QSsl::Dsa}) {
        const QSslKey key(pem, algorithm, QSsl::Pem, QSsl::PrivateKey);
        if (!key.isNull())
            return key;
    }
    throw OptionError{path + QStringLiteral(": no private key in PEM"), ExitFailed};
}

Endpoint readEndpoint(const Arguments &given, int leastPort)
{
    Endpoint end;
    const QString address = given.text(QStringLiteral("address"), QStringLiteral("127.0.0.1"));
    if (!end.address.setAddress(address))
        throw OptionError{QStringLiteral("--address: not an address: ") + address};
    end.port = static_cast<quint16>(given.number(QStringLiteral("port"), 0, leastPort, 65535));
    return end;
}

// Keeps Qt's own default, and its random secret, where nothing was given.
QDtls::GeneratorParameters readGenerator(const Arguments &given)
{
    QDtls::GeneratorParameters generator = QDtlsClientVerifier().cookieGeneratorParameters();
    generator.hash = given.choice<QCryptographicHash::Algorithm>(
        QStringLiteral("hash"),
        {{QStringLiteral("md5"), QCryptographicHash::Md5},
         {QStringLiteral("sha1"), QCryptographicHash::Sha1},
         {QStringLiteral("sha256"), QCryptographicHash::Sha256},
         {QStringLiteral("sha384"), QCryptographicHash::Sha384},
         {QStringLiteral("sha512"), QCryptographicHash::Sha512},
         {QStringLiteral("sha3-256"), QCryptographicHash::Sha3_256}},
        generator.hash);
    if (given.has(QStringLiteral("secret"))) {
        generator.secret = given.hex(QStringLiteral("secret"));
        if (generator.secret.isEmpty())
            throw OptionError{QStringLiteral("--secret: empty")};
    }
    return generator;
}

QSsl::SslProtocol readVersion(const Arguments &given)
{
    // Qt warns of DTLS 1.0, which is here to be tested.
    QT_WARNING_PUSH
    QT_WARNING_DISABLE_DEPRECATED
    return given.choice<QSsl::SslProtocol>(
        QStringLiteral("min-version"),
        {{QStringLiteral("1.0"), QSsl::DtlsV1_0OrLater},
         {QStringLiteral("1.2"), QSsl::DtlsV1_2OrLater}},
        QSsl::DtlsV1_2OrLater);
    QT_WARNING_POP
}

// What server and client have in common.
Options readConnection(const Arguments &given, QSslSocket::PeerVerifyMode verifyFallback)
{
    Options options;
    options.psk = given.hex(QStringLiteral("psk"));
    if (given.has(QStringLiteral("psk")) && options.psk.isEmpty())
        throw OptionError{QStringLiteral("--psk: empty")};
    options.anyIdentity = !given.has(QStringLiteral("identity"));
    options.identity = given.bytes(QStringLiteral("identity"));
    options.mtu = static_cast<quint16>(given.number(QStringLiteral("mtu"), 0, 1, 65535));
    options.timeoutMs = given.milliseconds(QStringLiteral("timeout"), options.timeoutMs);

    QSslConfiguration configuration = QSslConfiguration::defaultDtlsConfiguration();
    configuration.setProtocol(readVersion(given));
    configuration.setPeerVerifyMode(given.choice<QSslSocket::PeerVerifyMode>(
        QStringLiteral("verify"),
        {{QStringLiteral("none"), QSslSocket::VerifyNone},
         {QStringLiteral("query"), QSslSocket::QueryPeer},
         {QStringLiteral("peer"), QSslSocket::VerifyPeer}},
        verifyFallback));

    if (given.has(QStringLiteral("cert")) != given.has(QStringLiteral("key")))
        throw OptionError{QStringLiteral("--cert and --key go together")};
    if (given.has(QStringLiteral("cert"))) {
        configuration.setLocalCertificateChain(readCertificates(given.text(QStringLiteral("cert"))));
        configuration.setPrivateKey(readKey(given.text(QStringLiteral("key"))));
    }

    // Never the machine's own authorities: a test is to give the same result
    // everywhere.
    QList<QSslCertificate> authorities;
    if (given.has(QStringLiteral("ca")))
        authorities = readCertificates(given.text(QStringLiteral("ca")));
    configuration.setCaCertificates(authorities);

    if (given.has(QStringLiteral("ciphers"))) {
        configuration.setBackendConfigurationOption(QByteArrayLiteral("CipherString"),
                                                    given.bytes(QStringLiteral("ciphers")));
    }
    options.configuration = configuration;
    return options;
}

} // namespace

Options parseServer(const QStringList &arguments)
{
    const Arguments given(
        arguments,
        {QStringLiteral("address"), QStringLiteral("port"), QStringLiteral("psk"),
         QStringLiteral("identity"), QStringLiteral("hint"), QStringLiteral("cert"),
         QStringLiteral("key"), QStringLiteral("ca"), QStringLiteral("verify"),
         QStringLiteral("secret"), QStringLiteral("hash"), QStringLiteral("min-version"),
         QStringLiteral("ciphers"), QStringLiteral("mtu"), QStringLiteral("connections"),
         QStringLiteral("messages"), QStringLiteral("timeout")},
        {QStringLiteral("no-cookies")});
    const bool authority = given.has(QStringLiteral("ca"));
    Options options =
        readConnection(given, authority ? QSslSocket::VerifyPeer : QSslSocket::VerifyNone);
    options.end = readEndpoint(given, 0);
    options.generator = readGenerator(given);
    options.cookies = !given.has(QStringLiteral("no-cookies"));
    options.configuration.setDtlsCookieVerificationEnabled(options.cookies);
    options.configuration.setPreSharedKeyIdentityHint(given.bytes(QStringLiteral("hint")));
    options.connections = given.number(QStringLiteral("connections"), 1, 1, 1000000);
    options.messages = given.number(QStringLiteral("messages"), 0, 0, 1000000);
    return options;
}

Options parseClient(const QStringList &arguments)
{
    const Arguments given(
        arguments,
        {QStringLiteral("address"), QStringLiteral("port"), QStringLiteral("psk"),
         QStringLiteral("identity"), QStringLiteral("cert"), QStringLiteral("key"),
         QStringLiteral("ca"), QStringLiteral("verify"), QStringLiteral("name"),
         QStringLiteral("min-version"), QStringLiteral("ciphers"), QStringLiteral("mtu"),
         QStringLiteral("message"), QStringLiteral("count"), QStringLiteral("timeout")});
    given.require({QStringLiteral("port")});
    const bool psk = given.has(QStringLiteral("psk"));
    Options options = readConnection(given, psk ? QSslSocket::VerifyNone : QSslSocket::VerifyPeer);
    options.end = readEndpoint(given, 1);
    options.name = given.text(QStringLiteral("name"));
    options.message = given.text(QStringLiteral("message"), QStringLiteral("hello")).toUtf8();
    options.count = given.number(QStringLiteral("count"), 1, 0, 1000000);
    if (options.count > 0 && options.message.isEmpty())
        throw OptionError{QStringLiteral("--message: empty")};
    return options;
}

Options parseCookie(const QStringList &arguments)
{
    const QStringList names{QStringLiteral("secret"), QStringLiteral("hash"),
                            QStringLiteral("address"), QStringLiteral("port"),
                            QStringLiteral("hello")};
    const Arguments given(arguments, names);
    given.require(names);
    Options options;
    options.end = readEndpoint(given, 1);
    options.generator = readGenerator(given);
    options.hello = given.hex(QStringLiteral("hello"));
    if (options.hello.isEmpty())
        throw OptionError{QStringLiteral("--hello: empty")};
    return options;
}

void printUsage()
{
    std::fputs(usageText, stderr);
}
