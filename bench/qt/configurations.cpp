// What both sides are told, and associations made of that.

#include <QtCore/QFile>
#include <QtNetwork/QSslCertificate>
#include <QtNetwork/QSslKey>
#include <QtNetwork/QSslPreSharedKeyAuthenticator>

#include "bench.h"

namespace {

QByteArray readFile(const QString &path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        die("read", path);
    return file.readAll();
}

// Qt's defaults, but for what all contenders have: the suite, DTLS 1.2, and no tickets
// where nothing is resumed.
QSslConfiguration common(const QByteArray &ciphers)
{
    QSslConfiguration c = QSslConfiguration::defaultDtlsConfiguration();
    c.setProtocol(QSsl::DtlsV1_2OrLater);
    c.setSslOption(QSsl::SslOptionDisableSessionTickets, true);
    c.setCaCertificates({});
    c.setPeerVerifyMode(QSslSocket::VerifyNone);
    c.setBackendConfigurationOption(QByteArrayLiteral("CipherString"), ciphers);
    return c;
}

} // namespace

Configurations readConfigurations(const QByteArray &kind, const QByteArray &ciphers,
                                  const QString &root, const QString &identity)
{
    Configurations c{kind, ciphers, common(ciphers), common(ciphers)};
    if (kind == "psk")
        return c;
    const QByteArray pem = readFile(identity);
    const QSslKey key(pem, kind == "rsa" ? QSsl::Rsa : QSsl::Ec, QSsl::Pem, QSsl::PrivateKey);
    if (key.isNull())
        die("key", identity);
    c.server.setLocalCertificateChain(QSslCertificate::fromData(pem, QSsl::Pem));
    c.server.setPrivateKey(key);
    c.client.setCaCertificates(QSslCertificate::fromData(readFile(root), QSsl::Pem));
    c.client.setPeerVerifyMode(QSslSocket::VerifyPeer);
    return c;
}

std::unique_ptr<QDtls> openDtls(const Configurations &c, QSslSocket::SslMode mode,
                                const QHostAddress &peer, quint16 port)
{
    auto dtls = std::make_unique<QDtls>(mode);
    const bool client = mode == QSslSocket::SslClientMode;
    dtls->setPeer(peer, port, client ? QStringLiteral("localhost") : QString());
    dtls->setDtlsConfiguration(client ? c.client : c.server);
    if (c.kind == "psk") {
        QObject::connect(dtls.get(), &QDtls::pskRequired, [](QSslPreSharedKeyAuthenticator *ask) {
            ask->setIdentity(QByteArrayLiteral("bench"));
            ask->setPreSharedKey(QByteArrayLiteral("0123456789abcdef"));
        });
    }
    return dtls;
}
