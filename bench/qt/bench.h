// What the files of the Qt contender share.

#pragma once

#include <QtCore/QByteArray>
#include <QtCore/QString>
#include <QtNetwork/QDtls>
#include <QtNetwork/QHostAddress>
#include <QtNetwork/QSslConfiguration>
#include <QtNetwork/QUdpSocket>

#include <ctime>
#include <memory>

[[noreturn]] void die(const char *what, const QString &why = {});
double nowNs(clockid_t clock = CLOCK_MONOTONIC);

// Both sides of a measurement. kind is ecdsa, rsa or psk.
struct Configurations
{
    QByteArray kind, ciphers;
    QSslConfiguration client, server;
};

Configurations readConfigurations(const QByteArray &kind, const QByteArray &ciphers,
                                  const QString &root, const QString &identity);

// An association of one side, ready for its first doHandshake.
std::unique_ptr<QDtls> openDtls(const Configurations &c, QSslSocket::SslMode mode,
                                const QHostAddress &peer, quint16 port);

// A socket on loopback, and who is at it.
struct End
{
    End();
    // What has come, good until the next call; empty if nothing has.
    QByteArray receive();

    QUdpSocket socket;
    std::unique_ptr<QDtls> dtls;
    QHostAddress from; // of what was received last
    quint16 fromPort = 0;
    char buffer[2048];
};

// Both ends of an association in one thread, each with a socket of its own.
class Pair
{
public:
    explicit Pair(const Configurations &c) : configurations(c) {}
    // Makes new associations and their handshake, cookie and all.
    void shake();
    // Makes sure that the suite is the one that was asked for.
    void checkSuite() const;

    End client, server;
    double clientNs = 0, serverNs = 0; // in shake

private:
    bool clientTurn();
    bool serverTurn();

    const Configurations &configurations;
    QDtlsClientVerifier verifier;
};

void runHellos(const Configurations &c, double ms);
void runHandshake(const Configurations &c, double ms);
void runDatagrams(const Configurations &c, int size, double ms);
void runEcho(const Configurations &c, int size, double ms);
int runServer(const Configurations &c);
