// Which gates would be their own services' addresses. Where a service's host is a name, its addresses tell:
//
//   judge() ─▶ the rule ─▶ elsewhere, back
//                  └ by its address ─▶ looked up? each address by the rule · not yet: unknown ─▶ name server ─▶ again()
//
// A name is looked up anew every minute, one without an answer sooner: its service is not taken for ours meanwhile, as a provider of this
// machine cannot connect to it either; nor is one whose name server says nothing for 3 s, or that is one name too many. Owned by Gateway.
// One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.h"
#include "base/timer.h"
#include "tunnel/service.h"

namespace hg::tunnel {

/// Where connections of a gate for a service end up: with the service, or at the gate itself, so its client would fill gateway and provider
/// with connections to each other. kByAddress: the service's host is a name whose addresses are to be judged in its place.
enum class Leads : uint8_t { kElsewhere, kBack, kByAddress };

/// The rule, for a service of the provider at `provider`. Null: always elsewhere.
using LeadsBack = std::function<Leads(const Service& service, const Endpoint& provider)>;

class LoopCheck {
 public:
  enum class Verdict : uint8_t { kElsewhere, kBack, kUnknown };
  struct Judgement {
    Verdict verdict = Verdict::kElsewhere;
    bool by_name = false;
  };
  static constexpr size_t kMaxNames = 256;

  /// `again`: what was judged by name may be judged otherwise now; never called from inside another call.
  LoopCheck(Runtime& runtime, std::function<void()> again);
  ~LoopCheck() { *alive_ = false; }

  void set_rule(LeadsBack rule) { rule_ = std::move(rule); }
  Judgement judge(Service service, const Endpoint& provider);
  /// A name that something was judged by, and is still offered; to be said every few seconds.
  void keep(const std::string& host) { find(host); }

 private:
  struct Name {
    bool asking = false;
    bool known = false;               // whether it has been asked for
    std::vector<uint32_t> addresses;  // sorted
    TimePoint asked{};
    TimePoint ask_at{};
    Duration retry{};
    TimePoint wanted{};
  };

  Name* find(const std::string& host);
  void ask(const std::string& host, Name& name);
  void heard(const std::string& host, Expected<std::vector<uint32_t>> found);
  void wait_no_longer();
  void tell();

  Runtime& runtime_;
  LeadsBack rule_;
  std::map<std::string, Name> names_;
  Timer gather_;    // again()
  Timer patience_;  // with the first of the names that nothing is known of
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::tunnel
