#include "server.h"

#include <QtCore/QCoreApplication>
#include <QtCore/QTimer>
#include <QtNetwork/QNetworkDatagram>
#include <QtNetwork/QSslPreSharedKeyAuthenticator>
#include <QtNetwork/QUdpSocket>

#include <algorithm>
#include <memory>
#include <vector>

#include "connection.h"

namespace {

// A QDtls may be what is calling us, so it is never deleted on the spot.
struct Later
{
    void operator()(QObject *object) const { object->deleteLater(); }
};

struct Connection
{
    Endpoint end;
    std::unique_ptr<QDtls, Later> dtls;
    int messages = 0;
};

class Server
{
public:
    explicit Server(const Options &given) : options(given)
    {
        verifier.setCookieGeneratorParameters(options.generator);
    }

    int run();

private:
    void readSocket();
    void handle(const Endpoint &end, const QByteArray &datagram);
    void greet(const Endpoint &end, const QByteArray &datagram);
    void open(const Endpoint &end, const QByteArray &hello);
    void handshake(Connection &connection, const QByteArray &datagram);
    void receive(Connection &connection, const QByteArray &datagram);
    void timedOut(QDtls *dtls);
    void authenticate(const Endpoint &end, QSslPreSharedKeyAuthenticator *authenticator) const;
    void close(const QDtls *dtls, ExitCode outcome);

    const Options options;
    QUdpSocket socket;
    QDtlsClientVerifier verifier;
    // Pointers, so that a connection stays where it is when others come and go.
    std::vector<std::unique_ptr<Connection>> connections;
    int ended = 0;
    ExitCode result = ExitDone;
    bool finished = false;
};

int Server::run()
{
    if (!socket.bind(options.end.address, options.end.port, QUdpSocket::DontShareAddress)) {
        reportError(QStringLiteral("bind: ") + socket.errorString());
        return ExitFailed;
    }
    QObject::connect(&socket, &QUdpSocket::readyRead, &socket, [this] { readSocket(); });
    QTimer::singleShot(options.timeoutMs, &socket, [this] {
        if (finished)
            return;
        finished = true;
        reportError(QStringLiteral("time-out"));
        QCoreApplication::exit(ExitTimeout);
    });
    Event("LISTENING")
        .plain("address", socket.localAddress().toString().toLatin1())
        .number("port", socket.localPort());
    return QCoreApplication::exec();
}

void Server::readSocket()
{
    while (!finished && socket.hasPendingDatagrams()) {
        const QNetworkDatagram datagram = socket.receiveDatagram();
        if (!datagram.isValid() || datagram.senderPort() <= 0)
            continue;
        const Endpoint end{datagram.senderAddress(), static_cast<quint16>(datagram.senderPort())};
        handle(end, datagram.data());
    }
}

void Server::handle(const Endpoint &end, const QByteArray &datagram)
{
    const auto found = std::find_if(connections.begin(), connections.end(),
                                    [&end](const auto &one) { return one->end == end; });
    if (found == connections.end()) {
        greet(end, datagram);
        return;
    }
    Connection &connection = **found;
    if (datagram.isEmpty())
        return;
    if (connection.dtls->isConnectionEncrypted())
        receive(connection, datagram);
    else
        handshake(connection, datagram);
}

void Server::greet(const Endpoint &end, const QByteArray &datagram)
{
    if (options.cookies) {
        const bool verified = verifier.verifyClient(&socket, datagram, end.address, end.port);
        Event("HELLO").peer(end).plain("verified", verified ? "true" : "false");
        if (verified)
            open(end, verifier.verifiedHello());
        return;
    }
    // Late records of a connection that has ended are not to begin another: a
    // ClientHello is a handshake record (22) of epoch 0.
    const bool handshakeRecord = datagram.size() > 13 && datagram.at(0) == 22
                                 && datagram.at(3) == 0 && datagram.at(4) == 0
                                 && datagram.at(13) == 1;
    if (handshakeRecord)
        open(end, datagram);
    else
        qWarning("%s: %lld bytes that are no ClientHello", end.text().constData(),
                 static_cast<long long>(datagram.size()));
}

void Server::open(const Endpoint &end, const QByteArray &hello)
{
    auto fresh = std::make_unique<Connection>();
    fresh->end = end;
    fresh->dtls.reset(new QDtls(QSslSocket::SslServerMode));
    QDtls *dtls = fresh->dtls.get();
    QObject::connect(dtls, &QDtls::handshakeTimeout, dtls, [this, dtls] { timedOut(dtls); });
    QObject::connect(dtls, &QDtls::pskRequired, dtls,
                     [this, end](QSslPreSharedKeyAuthenticator *authenticator) {
                         authenticate(end, authenticator);
                     });
    Connection &connection = *fresh;
    connections.push_back(std::move(fresh));

    dtls->setPeer(end.address, end.port);
    dtls->setDtlsConfiguration(options.configuration);
    // This returns false even when it has worked.
    dtls->setCookieGeneratorParameters(options.generator);
    if (options.mtu)
        dtls->setMtuHint(options.mtu);
    handshake(connection, hello);
}

void Server::handshake(Connection &connection, const QByteArray &datagram)
{
    QDtls &dtls = *connection.dtls;
    if (!dtls.doHandshake(&socket, datagram)) {
        close(&dtls, reportHandshakeFailure(dtls, socket, connection.end));
        return;
    }
    if (dtls.handshakeState() == QDtls::HandshakeComplete)
        reportConnected(dtls, connection.end);
}

void Server::receive(Connection &connection, const QByteArray &datagram)
{
    QDtls &dtls = *connection.dtls;
    const QByteArray message = dtls.decryptDatagram(&socket, datagram);
    if (!message.isEmpty()) {
        Event("MESSAGE").peer(connection.end).hex("hex", message);
        const QByteArray answer = "to " + connection.end.text() + ": ACK";
        if (dtls.writeDatagramEncrypted(&socket, answer) < 0) {
            reportError(connection.end, dtls.dtlsError(), dtls.dtlsErrorString());
            close(&dtls, ExitFailed);
        } else if (++connection.messages == options.messages) {
            close(&dtls, dtls.shutdown(&socket) ? ExitDone : ExitFailed);
        }
        return;
    }
    switch (dtls.dtlsError()) {
    case QDtlsError::NoError:
        break;
    case QDtlsError::TlsNonFatalError:
        qWarning("%s: %s", connection.end.text().constData(), qPrintable(dtls.dtlsErrorString()));
        break;
    case QDtlsError::RemoteClosedConnectionError:
        Event("CLOSED").peer(connection.end);
        close(&dtls, ExitDone);
        break;
    default:
        reportError(connection.end, dtls.dtlsError(), dtls.dtlsErrorString());
        close(&dtls, ExitFailed);
    }
}

void Server::timedOut(QDtls *dtls)
{
    if (finished || dtls->handleTimeout(&socket) || dtls->dtlsError() == QDtlsError::NoError)
        return;
    const Endpoint end{dtls->peerAddress(), dtls->peerPort()};
    close(dtls, reportHandshakeFailure(*dtls, socket, end));
}

void Server::authenticate(const Endpoint &end, QSslPreSharedKeyAuthenticator *authenticator) const
{
    Event("IDENTITY").peer(end).quoted("text", authenticator->identity());
    // Without a key the handshake fails.
    if (options.anyIdentity || authenticator->identity() == options.identity)
        authenticator->setPreSharedKey(options.psk);
}

void Server::close(const QDtls *dtls, ExitCode outcome)
{
    const auto found = std::find_if(connections.begin(), connections.end(),
                                    [dtls](const auto &one) { return one->dtls.get() == dtls; });
    if (found == connections.end())
        return;
    (*found)->dtls->disconnect();
    connections.erase(found);
    if (outcome == ExitVerification || result == ExitDone)
        result = outcome;
    if (++ended < options.connections)
        return;
    finished = true;
    QCoreApplication::exit(result);
}

} // namespace

int runServer(const Options &options)
{
    return Server(options).run();
}
