// The command line.

#pragma once

#include <QtCore/QByteArray>
#include <QtCore/QString>
#include <QtCore/QStringList>
#include <QtNetwork/QDtls>
#include <QtNetwork/QSslConfiguration>

#include "event.h"

// Thrown for a command line that cannot be used, or a file that cannot be read.
struct OptionError
{
    QString text;
    ExitCode exitCode = ExitUsage;
};

struct Options
{
    Endpoint end;
    QByteArray psk;
    QByteArray identity;
    bool anyIdentity = true;
    bool cookies = true;
    QDtls::GeneratorParameters generator;
    QSslConfiguration configuration;
    quint16 mtu = 0;
    int connections = 1;
    int messages = 0; // after which the server closes; 0: never
    QString name;
    QByteArray message;
    int count = 1;
    int timeoutMs = 20000;
    QByteArray hello;
};

// Reads the arguments that follow the command.
Options parseServer(const QStringList &arguments);
Options parseClient(const QStringList &arguments);
Options parseCookie(const QStringList &arguments); // of "cookie" and "verify"

void printUsage();
