// Texts of peers, files and other programs, made fit for a terminal and for JSON.
#pragma once

#include <string>
#include <string_view>

namespace hg::app {

/// At most `most` bytes of `text`, an ellipsis behind them if there is more. What is no UTF-8, controls, and what changes the order of
/// writing or cannot be seen become '?'.
std::string printable(std::string_view text, size_t most);

}  // namespace hg::app
