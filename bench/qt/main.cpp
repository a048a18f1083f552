// The same work as package main's, by Qt's QDtls and QDtlsClientVerifier. Their operations
// send by a QUdpSocket: they take part where sockets are part of the work.
//
//   bench-qt udp-hellos    KIND CIPHERS ROOT IDENTITY MS        hellos/s
//   bench-qt udp-handshake KIND CIPHERS ROOT IDENTITY MS        both µs of CPU, handshakes/s, client's µs, server's µs
//   bench-qt udp-datagrams KIND CIPHERS ROOT IDENTITY MS SIZE   ns for both, encrypt and send, receive and decrypt
//   bench-qt udp-echo      KIND CIPHERS ROOT IDENTITY MS SIZE   µs of each round trip
//   bench-qt server        KIND CIPHERS ROOT IDENTITY           see role.go
//   bench-qt version

#include <QtCore/QCoreApplication>
#include <QtNetwork/QSslSocket>

#include <cstdio>
#include <cstdlib>

#include "bench.h"

void die(const char *what, const QString &why)
{
    std::fprintf(stderr, "bench-qt: %s: %s\n", what, qPrintable(why));
    std::exit(1);
}

double nowNs(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    const QCoreApplication application(argc, argv);
    const QStringList given = QCoreApplication::arguments();
    if (!QSslSocket::setActiveBackend(QStringLiteral("openssl")))
        die("Qt has no OpenSSL backend");
    if (given.size() == 2 && given[1] == QLatin1String("version")) {
        std::printf("Qt %s, %s\n", qVersion(), qPrintable(QSslSocket::sslLibraryVersionString()));
        return 0;
    }
    if (given.size() < 6)
        die("usage", QStringLiteral("see main.cpp"));
    const Configurations c = readConfigurations(given[2].toUtf8(), given[3].toUtf8(), given[4], given[5]);
    const QString command = given[1];
    const double ms = given.value(6).toDouble();
    const int size = given.value(7).toInt();
    if (command == QLatin1String("server"))
        return runServer(c);
    if (command == QLatin1String("udp-hellos"))
        runHellos(c, ms);
    else if (command == QLatin1String("udp-handshake"))
        runHandshake(c, ms);
    else if (command == QLatin1String("udp-datagrams") && size > 0)
        runDatagrams(c, size, ms);
    else if (command == QLatin1String("udp-echo") && size > 0)
        runEcho(c, size, ms);
    else
        die("usage", QStringLiteral("see main.cpp"));
    return 0;
}
