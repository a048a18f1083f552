// Both ends of an association in one thread. What is sent on loopback is there to be read
// when the call returns, so that nothing has to be waited for.

#include <QtNetwork/QSslCipher>

#include "bench.h"

End::End()
{
    if (!socket.bind(QHostAddress(QHostAddress::LocalHost), 0))
        die("bind", socket.errorString());
}

// One call, into a buffer that is there: asking for the size first, as Qt's examples do,
// would be another system call.
QByteArray End::receive()
{
    const qint64 n = socket.readDatagram(buffer, sizeof buffer, &from, &fromPort);
    return n > 0 ? QByteArray::fromRawData(buffer, n) : QByteArray();
}

void Pair::shake()
{
    server.dtls.reset();
    client.dtls.reset();
    double start = nowNs();
    client.dtls = openDtls(configurations, QSslSocket::SslClientMode, QHostAddress::LocalHost,
                           server.socket.localPort());
    if (!client.dtls->doHandshake(&client.socket))
        die("client", client.dtls->dtlsErrorString());
    clientNs += nowNs() - start;
    for (bool moved = true; moved;) {
        start = nowNs();
        moved = serverTurn();
        const double middle = nowNs();
        serverNs += middle - start;
        moved = clientTurn() || moved;
        clientNs += nowNs() - middle;
    }
    if (!client.dtls->isConnectionEncrypted() || !server.dtls || !server.dtls->isConnectionEncrypted())
        die("the handshake is not complete");
}

void Pair::checkSuite() const
{
    const QString name = client.dtls->sessionCipher().name();
    if (name != QString::fromLatin1(configurations.ciphers))
        die("the suite", name);
}

bool Pair::serverTurn()
{
    bool moved = false;
    for (QByteArray d = server.receive(); !d.isEmpty(); d = server.receive()) {
        moved = true;
        if (!server.dtls) {
            if (!verifier.verifyClient(&server.socket, d, server.from, server.fromPort))
                continue;
            server.dtls = openDtls(configurations, QSslSocket::SslServerMode, server.from, server.fromPort);
        }
        if (!server.dtls->doHandshake(&server.socket, d))
            die("server", server.dtls->dtlsErrorString());
    }
    return moved;
}

bool Pair::clientTurn()
{
    bool moved = false;
    for (QByteArray d = client.receive(); !d.isEmpty(); d = client.receive()) {
        moved = true;
        if (!client.dtls->doHandshake(&client.socket, d))
            die("client", client.dtls->dtlsErrorString());
    }
    return moved;
}
