// The ingress policy of a provider (`--ingressPolicy`): JSON texts, files and URLs, merged in the order given, later ones win.
//
//   load() before anything starts: what cannot be read or does not fit is refused
//   PolicyWatch: files are looked at every second, URLs asked again (If-None-Match) every interval, on a helper thread
//     ─▶ all good and different: on_change(merged)      ─▶ broken: said once, the last good one stays
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/expected.h"
#include "base/timer.h"
#include "io/loop.h"

namespace hg::app {

/// One value of the option and what was last read from there.
class PolicyPart {
 public:
  enum class Kind { kInline, kFile, kUrl };
  enum class Look { kSame, kChanged };

  explicit PolicyPart(std::string value);

  /// Blocking. Reads it if it may have changed; an error is one line, and the text stays what it was.
  Expected<Look> look();
  Kind kind() const { return kind_; }
  const std::string& value() const { return value_; }
  const std::string& text() const { return text_; }

 private:
  struct Stamp {
    ino_t inode = 0;
    off_t size = -1;
    int64_t modified_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  static Stamp stamp_of(const std::string& path);
  Expected<std::string> read();

  std::string value_;
  Kind kind_;
  std::string text_;
  std::string etag_;
  Stamp stamp_;
};

struct PolicySources {
  std::vector<PolicyPart> parts;
  std::string merged;  // JSON; empty: no policy
};

/// Blocking. The error is the line to print.
Expected<PolicySources> load_policies(const std::vector<std::string>& values);

class PolicyWatch {
 public:
  PolicyWatch(io::Loop& loop, PolicySources sources, Duration url_interval, std::function<void(const std::string& merged)> on_change);
  ~PolicyWatch();

 private:
  struct Round;
  void look();
  void take(Round& round);

  io::Loop& loop_;
  PolicySources sources_;
  const Duration url_interval_;
  std::function<void(const std::string&)> on_change_;
  TimePoint urls_at_;
  std::string said_;  // the fault last told
  Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::app
