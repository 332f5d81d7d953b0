#include "app/source.h"

#include <sys/stat.h>

#include "app/config.h"
#include "http/fetch.h"

namespace hg::app {

namespace {

constexpr const char* kBlanks = " \t\r\n";

bool is_json(const std::string& value) {
  const size_t first = value.find_first_not_of(kBlanks);
  return first != std::string::npos && (value[first] == '{' || value[first] == '[');
}

std::optional<std::string> inline_text(const SourceKind& kind, const std::string& value) {
  if (is_json(value)) return value;
  return kind.text_of_word == nullptr ? std::nullopt : kind.text_of_word(value);
}

}  // namespace

Source::Source(const SourceKind& kind, std::string value)
    : kind_(&kind),
      value_(std::move(value)),
      inline_(inline_text(kind, value_)),
      form_(inline_                ? Form::kFixed
            : http::is_url(value_) ? Form::kUrl
                                   : Form::kFile) {}

std::string Source::name() const {
  if (is_json(value_)) return std::string(kind_->option) + " (inline)";
  return is_url() ? http::shown_url(value_) : value_;
}

Expected<Source::Look> Source::look() {
  if (known_ && !can_change()) return Look::kSame;
  auto text = read();
  if (text && !*text) return Look::kSame;
  const bool as_it_was = known_ && text && **text == *text_;
  const auto good = !text ? Expected<void>(text.error()) : as_it_was ? Expected<void>() : check(**text);
  fault_ = good ? std::string() : good.error().message;
  if (!good) return good.error();
  if (as_it_was) return Look::kSame;
  known_ = true;
  text_ = std::make_shared<std::string>(std::move(**text));
  return Look::kChanged;
}

/// The next look reads anew what could not be read, whatever its stamp or ETag: chmod changes neither.
Expected<Source::Text> Source::read() {
  auto text = inline_ ? Expected<Text>(*inline_) : is_url() ? read_url() : read_file();
  if (text) return text;
  stamp_.reset();
  etag_.clear();
  return Error{"USAGE", std::string(kind_->option) + ": " + text.error().message + (known_ ? "" : std::string("; give ") + kind_->wanted)};
}

Expected<Source::Text> Source::read_file() {
  if (looks_secret(value_)) return Error{"USAGE", "a value that is not shown, as secrets look like it"};
  struct stat status {};
  std::optional<Stamp> stamp;
  if (stat(value_.c_str(), &status) == 0)
    stamp = Stamp{status.st_ino, status.st_size, status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec, S_ISREG(status.st_mode)};
  if (stamp && stamp == stamp_) return Text();
  if (known_ && stamp && !stamp->regular) return Error{"EFTYPE", "cannot read '" + value_ + "': it is no regular file any more"};
  auto text = http::read_text_file(value_);
  if (!text) return text.error();
  stamp_ = stamp;
  if (stamp && !stamp->regular) form_ = Form::kFixed;
  return Text(std::move(*text));
}

Expected<Source::Text> Source::read_url() {
  auto fetched = http::fetch_url_since(value_, etag_);
  if (!fetched) return fetched.error();
  if (fetched->unchanged) return Text();
  etag_ = fetched->etag;
  return Text(std::move(fetched->text));
}

Expected<void> Source::check(const std::string& text) const {
  const std::string name = is_json(value_) ? kind_->option : std::string(kind_->option) + ": " + this->name();
  if (text.find_first_not_of(kBlanks) == std::string::npos) return Error{"BAD_VALUE", name + ": is empty; JSON is wanted"};
  return kind_->check == nullptr ? Expected<void>() : kind_->check(text, name);
}

}  // namespace hg::app
