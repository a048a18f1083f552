// qtpeer: a DTLS peer made of Qt's QDtls and QDtlsClientVerifier. See README.md.

#include <QtCore/QCoreApplication>
#include <QtNetwork/QSslSocket>

#include <cstdio>

#include "client.h"
#include "cookie.h"
#include "event.h"
#include "options.h"
#include "server.h"

namespace {

// Left to itself Qt may log to the journal.
void logToStderr(QtMsgType, const QMessageLogContext &, const QString &message)
{
    std::fprintf(stderr, "qtpeer: %s\n", message.toUtf8().constData());
}

struct Command
{
    const char *name;
    Options (*parse)(const QStringList &arguments);
    int (*run)(const Options &options);
};

const Command commands[] = {
    {"server", parseServer, runServer},
    {"client", parseClient, runClient},
    {"cookie", parseCookie, runCookie},
    {"verify", parseCookie, runVerify},
};

} // namespace

int main(int argc, char **argv)
{
    qInstallMessageHandler(logToStderr);
    const QCoreApplication application(argc, argv);
    const QStringList arguments = QCoreApplication::arguments();
    if (arguments.size() < 2) {
        printUsage();
        return ExitUsage;
    }
    if (!QSslSocket::setActiveBackend(QStringLiteral("openssl"))) {
        reportError(QStringLiteral("Qt has no OpenSSL backend"));
        return ExitFailed;
    }
    for (const Command &command : commands) {
        if (arguments.at(1) != QLatin1String(command.name))
            continue;
        try {
            return command.run(command.parse(arguments.mid(2)));
        } catch (const OptionError &error) {
            reportError(error.text);
            if (error.exitCode == ExitUsage)
                printUsage();
            return error.exitCode;
        }
    }
    reportError(QStringLiteral("unknown command: ") + arguments.at(1));
    printUsage();
    return ExitUsage;
}
