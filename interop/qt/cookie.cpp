#include "cookie.h"

#include <QtNetwork/QNetworkDatagram>
#include <QtNetwork/QUdpSocket>

namespace {

// A v4-mapped address, such as ::ffff:127.0.0.1.
bool isMapped(const QHostAddress &address)
{
    bool four = false;
    address.toIPv4Address(&four);
    return four && address.protocol() == QAbstractSocket::IPv6Protocol;
}

bool bindSocket(QUdpSocket &socket, const QHostAddress &address, quint16 port)
{
    if (socket.bind(address, port, QUdpSocket::DontShareAddress))
        return true;
    reportError(QStringLiteral("bind: ") + socket.errorString());
    return false;
}

// The loopback address of the same kind.
QHostAddress loopbackFor(const QHostAddress &address)
{
    return address.protocol() == QAbstractSocket::IPv6Protocol ? QHostAddress::LocalHostIPv6
                                                               : QHostAddress::LocalHost;
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
    // Qt binds no v4-mapped address. A socket of both kinds can send to one,
    // and what it sends comes in at the IPv4 address.
    const bool mapped = isMapped(options.end.address);
    const QHostAddress at = mapped ? QHostAddress(options.end.address.toIPv4Address())
                                   : options.end.address;
    const QHostAddress from = mapped ? QHostAddress(QHostAddress::Any) : loopbackFor(at);
    QUdpSocket receiver;
    QUdpSocket sender;
    if (!bindSocket(receiver, at, options.end.port) || !bindSocket(sender, from, 0))
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
    // The verifier answers a hello it does not take. From a loopback address
    // that answer cannot leave the machine, whatever address was given.
    QUdpSocket sender;
    if (!bindSocket(sender, loopbackFor(options.end.address), 0))
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
