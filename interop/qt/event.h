// The lines qtpeer prints: one event each, "WORD key=value …".

#pragma once

#include <QtCore/QByteArray>
#include <QtCore/QString>
#include <QtNetwork/QDtls>
#include <QtNetwork/QHostAddress>

// What the program ends with.
enum ExitCode {
    ExitDone = 0,
    ExitFailed = 1,
    ExitUsage = 2,
    ExitTimeout = 3,
    ExitVerification = 4
};

// An address and a port: the other end of a connection.
struct Endpoint
{
    QHostAddress address;
    quint16 port = 0;

    bool operator==(const Endpoint &other) const
    {
        return port == other.port && address == other.address;
    }

    // "127.0.0.1:1" or "[::1]:1".
    QByteArray text() const;
};

// One line of output. It is written, and flushed, when the object goes.
class Event
{
public:
    explicit Event(const char *word) : line(word) {}
    ~Event();

    Event(const Event &) = delete;
    Event &operator=(const Event &) = delete;

    Event &plain(const char *key, const QByteArray &value);
    Event &number(const char *key, qint64 value);
    Event &hex(const char *key, const QByteArray &value);
    Event &quoted(const char *key, const QByteArray &value);
    Event &quoted(const char *key, const QString &value);
    Event &peer(const Endpoint &end) { return plain("peer", end.text()); }

private:
    QByteArray line;
};

// An error of the program itself.
void reportError(const QString &text);

// An error of a connection.
void reportError(const Endpoint &end, QDtlsError code, const QString &text);
