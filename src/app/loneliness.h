// Says once a minute, while it is so, that no other member of the router has been found.
//
// Owned by Member. One thread.
#pragma once

#include <functional>

#include "base/log.h"
#include "base/runtime.h"

namespace hg::app {

class LonelinessNotice {
 public:
  static constexpr Duration kEvery = std::chrono::minutes(1);

  LonelinessNotice(Runtime& runtime, std::function<bool()> lonely)
      : runtime_(runtime), lonely_(std::move(lonely)), timer_(runtime.timers(), [this] { on_timer(); }) {
    timer_.arm(runtime_.now() + kEvery);
  }

 private:
  void on_timer() {
    timer_.arm(runtime_.now() + kEvery);
    if (lonely_()) HG_LOG(kInfo, "hypergate", "no other member of this router found yet; looking on");
  }

  Runtime& runtime_;
  std::function<bool()> lonely_;
  Timer timer_;
};

}  // namespace hg::app
