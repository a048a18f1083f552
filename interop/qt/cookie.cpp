#include "cookie.h"

#include <QtNetwork/QNetworkDatagram>
#include <QtNetwork/QUdpSocket>

namespace {

// Binds the socket the verifier sends with. It is bound to loopback, so that
// nothing leaves the machine whatever address was given.
bool bindSender(QUdpSocket &socket, const QHostAddress &to)
{
    const bool six = to.protocol() == QAbstractSocket::IPv6Protocol;
    bool mapped = false;
    to.toIPv4Address(&mapped);
    const QHostAddress from = !six ? QHostAddress(QHostAddress::LocalHost)
                            : mapped ? QHostAddress(QStringLiteral("::ffff:127.0.0.1"))
                                     : QHostAddress(QHostAddress::LocalHostIPv6);
    if (socket.bind(from, 0))
        return true;
    reportError(QStringLiteral("bind: ") + socket.errorString());
    return false;
}

// The cookie in a HelloVerifyRequest; empty if the datagram is something else.
QByteArray cookieOf(const QByteArray &datagram)
{
    constexpr qsizetype recordHeader = 13;
    constexpr qsizetype messageHeader = 12;
    constexpr qsizetype lengthAt = recordHeader + messageHeader + 2;
    constexpr char handshakeRecord = 22;
    constexpr char helloVerifyRequest = 3;
    if (datagram.size() <= lengthAt || datagram.at(0) != handshakeRecord
        || datagram.at(recordHeader) != helloVerifyRequest)
        return {};
    const qsizetype length = static_cast<unsigned char>(datagram.at(lengthAt));
    if (datagram.size() < lengthAt + 1 + length)
        return {};
    return datagram.mid(lengthAt + 1, length);
}

} // namespace

int runCookie(const Options &options)
{
    if (!options.end.address.isLoopback()) {
        reportError(QStringLiteral("--address: not a loopback address"));
        return ExitUsage;
    }
    QUdpSocket receiver;
    if (!receiver.bind(options.end.address, options.end.port, QUdpSocket::DontShareAddress)) {
        reportError(QStringLiteral("bind: ") + receiver.errorString());
        return ExitFailed;
    }
    QUdpSocket sender;
    if (!bindSender(sender, options.end.address))
        return ExitFailed;

    QDtlsClientVerifier verifier;
    verifier.setCookieGeneratorParameters(options.generator);
    if (verifier.verifyClient(&sender, options.hello, options.end.address, options.end.port)) {
        reportError(QStringLiteral("the hello carries a good cookie already"));
        return ExitFailed;
    }
    if (!receiver.hasPendingDatagrams() && !receiver.waitForReadyRead(2000)) {
        if (verifier.dtlsError() != QDtlsError::NoError)
            reportError(options.end, verifier.dtlsError(), verifier.dtlsErrorString());
        else
            reportError(QStringLiteral("the verifier did not answer"));
        return ExitFailed;
    }
    const QByteArray cookie = cookieOf(receiver.receiveDatagram().data());
    if (cookie.isEmpty()) {
        reportError(QStringLiteral("the verifier's answer is no HelloVerifyRequest"));
        return ExitFailed;
    }
    Event("COOKIE").hex("hex", cookie);
    return ExitDone;
}

int runVerify(const Options &options)
{
    QUdpSocket sender;
    if (!bindSender(sender, options.end.address))
        return ExitFailed;
    QDtlsClientVerifier verifier;
    verifier.setCookieGeneratorParameters(options.generator);
    const bool verified =
        verifier.verifyClient(&sender, options.hello, options.end.address, options.end.port);
    if (!verified && verifier.dtlsError() != QDtlsError::NoError)
        qWarning("%s", qPrintable(verifier.dtlsErrorString()));
    // The answer is a line of its own shape: a word and nothing else.
    Event(verified ? "VERIFIED yes" : "VERIFIED no");
    return ExitDone;
}
