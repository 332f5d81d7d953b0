// A service in one word, as the command line takes it: [GATE=][HOST:]PORT[/PROTOCOL]
//
//   8080                 gate 8080 for 127.0.0.1:8080      5432=db.lan:5432      another machine's
//   8080=80              gate 8080 for 127.0.0.1:80        53=[::1]:5353/udp     or /tcp+udp
//   8000-8010            eleven gates                      443=unix:/run/app.sock
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hg::tunnel {

/// As the text of a service file, to be parsed like one (its faults are found there). nullopt: no such word, but perhaps a file's name.
std::optional<std::string> service_of_word(std::string_view word);

}  // namespace hg::tunnel
