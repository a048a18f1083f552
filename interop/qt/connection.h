// What the server's and the client's connections do alike.

#pragma once

#include <QtNetwork/QDtls>

#include "event.h"
#include "options.h"

// Prints CERTIFICATE, if the peer showed one, and CONNECTED.
void reportConnected(const QDtls &dtls, const Endpoint &end);

// Prints what made the handshake fail, gives it up, and says which exit code
// that calls for.
ExitCode reportHandshakeFailure(QDtls &dtls, QUdpSocket &socket, const Endpoint &end);
