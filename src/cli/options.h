// Command line and environment as texts: which flags exist, how they are written, what --help says.
#pragma once

#include <string>

#include "app/config.h"

namespace hg::cli {

/// Reads argv and the HYPERGATE_* variables (the command line wins). The error's message is the line to print.
Expected<app::RawOptions> read_options(int argc, const char* const* argv);

std::string help_text();
std::string version_text();

/// Overwrites secrets, passwords and what URLs keep to themselves in argv, so that a process list does not show them.
void hide_secrets(int argc, char** argv);

}  // namespace hg::cli
