#include "client.h"

#include <QtCore/QCoreApplication>
#include <QtCore/QTimer>
#include <QtNetwork/QNetworkDatagram>
#include <QtNetwork/QSslPreSharedKeyAuthenticator>
#include <QtNetwork/QUdpSocket>

#include "connection.h"

namespace {

class Client
{
public:
    explicit Client(const Options &given) : options(given), dtls(QSslSocket::SslClientMode) {}

    int run();

private:
    void start();
    void readSocket();
    void handshake(const QByteArray &datagram);
    void receive(const QByteArray &datagram);
    void timedOut();
    void authenticate(QSslPreSharedKeyAuthenticator *authenticator) const;
    void sendOrShutDown();
    void fail();
    void finish(ExitCode code);

    const Options options;
    QUdpSocket socket;
    QDtls dtls;
    int answers = 0;
    bool finished = false;
};

int Client::run()
{
    const bool six = options.end.address.protocol() == QAbstractSocket::IPv6Protocol;
    // A v4-mapped address needs a socket of both kinds.
    bool mapped = false;
    options.end.address.toIPv4Address(&mapped);
    const auto any = !six ? QHostAddress::AnyIPv4
                   : mapped ? QHostAddress::Any
                            : QHostAddress::AnyIPv6;
    if (!socket.bind(QHostAddress(any), 0)) {
        reportError(QStringLiteral("bind: ") + socket.errorString());
        return ExitFailed;
    }
    QObject::connect(&socket, &QUdpSocket::readyRead, &socket, [this] { readSocket(); });
    QObject::connect(&dtls, &QDtls::handshakeTimeout, &dtls, [this] { timedOut(); });
    QObject::connect(&dtls, &QDtls::pskRequired, &dtls,
                     [this](QSslPreSharedKeyAuthenticator *authenticator) {
                         authenticate(authenticator);
                     });
    QTimer::singleShot(options.timeoutMs, &socket, [this] {
        if (finished)
            return;
        reportError(QStringLiteral("time-out"));
        finish(ExitTimeout);
    });
    QTimer::singleShot(0, &socket, [this] { start(); });
    return QCoreApplication::exec();
}

void Client::start()
{
    if (!dtls.setPeer(options.end.address, options.end.port, options.name)
        || !dtls.setDtlsConfiguration(options.configuration)) {
        fail();
        return;
    }
    if (options.mtu)
        dtls.setMtuHint(options.mtu);
    handshake({});
}

void Client::readSocket()
{
    while (!finished && socket.hasPendingDatagrams()) {
        const QNetworkDatagram datagram = socket.receiveDatagram();
        if (!datagram.isValid() || datagram.data().isEmpty())
            continue;
        const bool ours = datagram.senderPort() == options.end.port
                          && datagram.senderAddress().isEqual(options.end.address);
        if (!ours)
            qWarning("a datagram from elsewhere");
        else if (dtls.isConnectionEncrypted())
            receive(datagram.data());
        else
            handshake(datagram.data());
    }
}

void Client::handshake(const QByteArray &datagram)
{
    if (!dtls.doHandshake(&socket, datagram)) {
        finish(reportHandshakeFailure(dtls, socket, options.end));
        return;
    }
    if (dtls.handshakeState() != QDtls::HandshakeComplete)
        return;
    reportConnected(dtls, options.end);
    sendOrShutDown();
}

void Client::receive(const QByteArray &datagram)
{
    const QByteArray message = dtls.decryptDatagram(&socket, datagram);
    if (!message.isEmpty()) {
        Event("MESSAGE").peer(options.end).hex("hex", message);
        ++answers;
        sendOrShutDown();
        return;
    }
    switch (dtls.dtlsError()) {
    case QDtlsError::NoError:
        break;
    case QDtlsError::TlsNonFatalError:
        qWarning("%s", qPrintable(dtls.dtlsErrorString()));
        break;
    case QDtlsError::RemoteClosedConnectionError:
        // The server is not the one to close: this is an error as well.
        Event("CLOSED").peer(options.end);
        fail();
        break;
    default:
        fail();
    }
}

void Client::timedOut()
{
    if (finished || dtls.handleTimeout(&socket) || dtls.dtlsError() == QDtlsError::NoError)
        return;
    finish(reportHandshakeFailure(dtls, socket, options.end));
}

void Client::authenticate(QSslPreSharedKeyAuthenticator *authenticator) const
{
    if (!authenticator->identityHint().isEmpty())
        Event("HINT").quoted("text", authenticator->identityHint()).peer(options.end);
    authenticator->setIdentity(options.identity);
    authenticator->setPreSharedKey(options.psk);
}

// In lockstep: the next message goes out when the last one was answered.
void Client::sendOrShutDown()
{
    if (answers < options.count) {
        if (dtls.writeDatagramEncrypted(&socket, options.message) < 0)
            fail();
        return;
    }
    if (!dtls.shutdown(&socket))
        fail();
    else
        finish(ExitDone);
}

void Client::fail()
{
    reportError(options.end, dtls.dtlsError(), dtls.dtlsErrorString());
    finish(ExitFailed);
}

void Client::finish(ExitCode code)
{
    finished = true;
    QCoreApplication::exit(code);
}

} // namespace

int runClient(const Options &options)
{
    return Client(options).run();
}
