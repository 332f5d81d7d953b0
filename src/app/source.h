// One value of a JSON-valued option: inline JSON (or a word that stands for it), a file or an http(s) URL, and what was last read from
// there.
//
//   look() ─▶ changed: read, and good      ─▶ same: not read, or as it was      ─▶ error: the text stays what it was
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/expected.h"

namespace hg::app {

/// What an option wants from its sources.
struct SourceKind {
  const char* option;                                                                   // "--provider"
  Expected<void> (*check)(const std::string& text, const std::string& name) = nullptr;  // an error is one line that begins with `name`
  const char* remains = "";  // of a source that broke: "the last good services stay"
  std::optional<std::string> (*text_of_word)(std::string_view word) = nullptr;
  const char* wanted = "JSON, a file or an http(s) URL";
};

/// What a source says, apart from it.
struct Said {
  const SourceKind* kind;
  std::string name;
  std::shared_ptr<const std::string> text;
};

class Source {
 public:
  enum class Look { kSame, kChanged };

  /// `kind` outlives this.
  Source(const SourceKind& kind, std::string value);

  /// Blocking. Reads it if it may have changed; an error is one line.
  Expected<Look> look();

  const SourceKind& kind() const { return *kind_; }
  bool is_url() const { return form_ == Form::kUrl; }
  /// Inline JSON does not, nor what can be read once only, such as a pipe.
  bool can_change() const { return form_ != Form::kFixed; }
  /// For people: the path, the URL, the word, or that it is inline.
  std::string name() const;
  const std::string& text() const { return *text_; }
  Said said() const { return {kind_, name(), text_}; }
  /// What is wrong with what was last read; empty: nothing.
  const std::string& fault() const { return fault_; }

 private:
  enum class Form { kFixed, kFile, kUrl };
  struct Stamp {
    ino_t inode = 0;
    off_t size = 0;
    int64_t changed_ns = 0;
    bool regular = false;
    bool operator==(const Stamp&) const = default;
  };
  using Text = std::optional<std::string>;  // nullopt: nothing new

  Expected<Text> read();
  Expected<Text> read_file();
  Expected<Text> read_url();
  Expected<void> check(const std::string& text) const;

  const SourceKind* kind_;
  std::string value_;
  std::optional<std::string> inline_;  // its text
  Form form_;
  bool known_ = false;  // it was good once
  std::shared_ptr<const std::string> text_ = std::make_shared<std::string>();
  std::string fault_;
  std::string etag_;
  std::optional<Stamp> stamp_;
};

}  // namespace hg::app
