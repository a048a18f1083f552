#pragma once

#include "options.h"

int runClient(const Options &options);
