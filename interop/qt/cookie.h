#pragma once

#include "options.h"

// Has Qt's verifier answer a ClientHello as if it came from an endpoint, and
// prints the cookie it gave.
int runCookie(const Options &options);

// Asks Qt's verifier whether it takes a ClientHello from an endpoint.
int runVerify(const Options &options);
