#pragma once

#include "options.h"

int runServer(const Options &options);
