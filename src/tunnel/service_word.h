// Services in a word each, as the command line takes them: [GATE=][HOST:]PORT[/PROTOCOL]
//
//   8080                 gate 8080 for 127.0.0.1:8080      5432=db.lan:5432      another machine's
//   8080=80              gate 8080 for 127.0.0.1:80        53=[::1]:5353/udp     or /tcp+udp
//   8000-8010            eleven gates                      443=unix:/run/app.sock
//   db.lan:5432          gate 5432 for it
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hg::tunnel {

/// Words, with spaces in between, as the text of a service file, to be parsed like one (faults are found there). nullopt: one of them is
/// no such word, so it may be the name of a file.
std::optional<std::string> services_of_words(std::string_view words);

}  // namespace hg::tunnel
