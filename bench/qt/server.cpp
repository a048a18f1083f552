// A server for many peers, alone in its process: it sends back what they say. What it is
// told and tells is in role.go.

#include <QtCore/QCoreApplication>
#include <QtCore/QFile>
#include <QtCore/QHash>
#include <QtCore/QJsonDocument>
#include <QtCore/QJsonObject>
#include <QtCore/QSocketNotifier>

#include <cstdio>
#include <cstring>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <unistd.h>

#include "bench.h"

namespace {

qint64 resident()
{
#ifdef __GLIBC__
    malloc_trim(0); // as the others collect their garbage first
#endif
    QFile file(QStringLiteral("/proc/self/statm"));
    if (!file.open(QIODevice::ReadOnly))
        return 0;
    return file.readAll().split(' ').value(1).toLongLong() * sysconf(_SC_PAGESIZE);
}

class Server
{
public:
    explicit Server(const Configurations &c);
    void tell() const;

private:
    using Key = quint64; // an IPv4 address and a port
    void readSocket();
    void greet(Key key, const QByteArray &datagram);
    void receive(Key key, const QByteArray &datagram);

    const Configurations &configurations;
    End end;
    QDtlsClientVerifier verifier;
    QHash<Key, std::shared_ptr<QDtls>> peers;
    qint64 cookies = 0, received = 0;
};

Server::Server(const Configurations &c) : configurations(c)
{
    end.socket.setSocketOption(QAbstractSocket::ReceiveBufferSizeSocketOption, 4 << 20); // as the others'
    QObject::connect(&end.socket, &QUdpSocket::readyRead, &end.socket, [this] { readSocket(); });
}

void Server::readSocket()
{
    for (QByteArray d = end.receive(); !d.isEmpty(); d = end.receive()) {
        const Key key = Key(end.from.toIPv4Address()) << 16 | end.fromPort;
        if (peers.contains(key))
            receive(key, d);
        else
            greet(key, d);
    }
}

void Server::greet(Key key, const QByteArray &datagram)
{
    if (!verifier.verifyClient(&end.socket, datagram, end.from, end.fromPort)) {
        cookies += verifier.dtlsError() == QDtlsError::NoError;
        return;
    }
    const std::shared_ptr<QDtls> dtls =
        openDtls(configurations, QSslSocket::SslServerMode, end.from, end.fromPort);
    QObject::connect(dtls.get(), &QDtls::handshakeTimeout, dtls.get(),
                     [this, dtls = dtls.get()] { dtls->handleTimeout(&end.socket); });
    peers.insert(key, dtls);
    receive(key, datagram);
}

void Server::receive(Key key, const QByteArray &datagram)
{
    const std::shared_ptr<QDtls> dtls = peers.value(key);
    if (!dtls->isConnectionEncrypted()) {
        if (!dtls->doHandshake(&end.socket, datagram))
            peers.remove(key);
        return;
    }
    const QByteArray payload = dtls->decryptDatagram(&end.socket, datagram);
    if (!payload.isEmpty()) {
        received++;
        dtls->writeDatagramEncrypted(&end.socket, payload);
    } else if (dtls->dtlsError() == QDtlsError::RemoteClosedConnectionError) {
        peers.remove(key);
    }
}

void Server::tell() const
{
    const QJsonObject state{
        {QStringLiteral("Address"), QStringLiteral("127.0.0.1:%1").arg(end.socket.localPort())},
        {QStringLiteral("Resident"), resident()},
        {QStringLiteral("CPU"), qint64(nowNs(CLOCK_PROCESS_CPUTIME_ID))},
        {QStringLiteral("Cookies"), cookies},
        {QStringLiteral("Open"), qint64(peers.size())},
        {QStringLiteral("Received"), received},
    };
    std::printf("%s\n", QJsonDocument(state).toJson(QJsonDocument::Compact).constData());
    std::fflush(stdout);
}

} // namespace

int runServer(const Configurations &c)
{
    Server server(c);
    QSocketNotifier input(STDIN_FILENO, QSocketNotifier::Read);
    QObject::connect(&input, &QSocketNotifier::activated, &input, [&server] {
        char text[4096];
        const ssize_t n = read(STDIN_FILENO, text, sizeof text);
        if (n <= 0)
            QCoreApplication::exit(0);
        for (ssize_t i = 0; i < n; i++) { // each line asks how the server is
            if (text[i] == '\n')
                server.tell();
        }
    });
    return QCoreApplication::exec();
}
