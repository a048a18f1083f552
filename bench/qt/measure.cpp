// The measurements, each warm before it counts.

#include <cstdio>
#include <cstring>

#include "bench.h"

namespace {

// A client's first datagram.
QByteArray clientHello(const Configurations &c)
{
    End server, client;
    client.dtls = openDtls(c, QSslSocket::SslClientMode, QHostAddress::LocalHost, server.socket.localPort());
    if (!client.dtls->doHandshake(&client.socket))
        die("ClientHello", client.dtls->dtlsErrorString());
    const QByteArray hello = server.receive();
    return QByteArray(hello.constData(), hello.size());
}

void send(End &from, const QByteArray &payload)
{
    if (from.dtls->writeDatagramEncrypted(&from.socket, payload) < 0)
        die("writeDatagramEncrypted", from.dtls->dtlsErrorString());
}

QByteArray receive(End &at, int size)
{
    const QByteArray payload = at.dtls->decryptDatagram(&at.socket, at.receive());
    if (payload.size() != size)
        die("decryptDatagram", at.dtls->dtlsErrorString());
    return payload;
}

} // namespace

void runHellos(const Configurations &c, double ms)
{
    const QByteArray hello = clientHello(c);
    QUdpSocket socket, sink; // nobody reads what the peers get
    if (!socket.bind(QHostAddress(QHostAddress::LocalHost), 0) || !sink.bind(QHostAddress(QHostAddress::AnyIPv4), 0))
        die("bind", socket.errorString());
    QDtlsClientVerifier verifier;
    quint32 i = 0;
    for (const double part : {0.1, 1.0}) {
        const double start = nowNs();
        double took = 0;
        long n = 0;
        for (; took < ms * 1e6 * part; took = nowNs() - start) {
            for (int k = 0; k < 64; k++, n++) {
                const QHostAddress peer(0x7f010000u | (++i & 0xffff)); // another each time
                if (verifier.verifyClient(&socket, hello, peer, sink.localPort())
                    || verifier.dtlsError() != QDtlsError::NoError)
                    die("verifyClient", verifier.dtlsErrorString());
            }
        }
        if (part == 1)
            std::printf("%f\n", n * 1e9 / took);
    }
}

void runHandshake(const Configurations &c, double ms)
{
    Pair pair(c);
    for (int i = 0; i < 20; i++)
        pair.shake();
    pair.checkSuite();
    pair.clientNs = pair.serverNs = 0;
    const double cpu = nowNs(CLOCK_PROCESS_CPUTIME_ID), start = nowNs();
    double took = 0;
    long n = 0;
    for (; took < ms * 1e6; n++) {
        pair.shake();
        took = nowNs() - start;
    }
    std::printf("%f %f %f %f\n", (nowNs(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e3 / n, n * 1e9 / took,
                pair.clientNs / 1e3 / n, pair.serverNs / 1e3 / n);
}

void runDatagrams(const Configurations &c, int size, double ms)
{
    enum { Lot = 32 }; // see loopback.go
    Pair pair(c);
    pair.shake();
    pair.checkSuite();
    const QByteArray payload(size, 0);
    double both = 0, sending = 0, receiving = 0;
    long n = 0, apart = 0;
    for (int i = 0; i < 1000; i++) {
        send(pair.client, payload);
        receive(pair.server, size);
    }
    for (const double start = nowNs(); both < ms * 5e5; both = nowNs() - start) {
        for (int i = 0; i < Lot; i++, n++) {
            send(pair.client, payload);
            receive(pair.server, size);
        }
    }
    while (sending + receiving < ms * 5e5) {
        const double start = nowNs();
        for (int i = 0; i < Lot; i++)
            send(pair.client, payload);
        const double middle = nowNs();
        for (int i = 0; i < Lot; i++)
            receive(pair.server, size);
        sending += middle - start;
        receiving += nowNs() - middle;
        apart += Lot;
    }
    std::printf("%f %f %f\n", both / n, sending / apart, receiving / apart);
}

void runEcho(const Configurations &c, int size, double ms)
{
    Pair pair(c);
    pair.shake();
    pair.checkSuite();
    const QByteArray payload(size, 0);
    const auto echo = [&] {
        send(pair.client, payload);
        send(pair.server, receive(pair.server, size));
        receive(pair.client, size);
    };
    for (int i = 0; i < 1000; i++)
        echo();
    const double end = nowNs() + ms * 1e6;
    for (double start = nowNs(), now; start < end; start = now) {
        echo();
        now = nowNs();
        std::printf("%.2f\n", (now - start) / 1e3);
        now = nowNs(); // without the printing
    }
}
