// Names to addresses, by getaddrinfo on threads of its own: a name whose server is silent delays other names only when several do so.
//
//   resolve(name) ─▶ asked for already? share its answer ─▶ getaddrinfo ─▶ every callback, on the loop
//
// Nothing is kept: how long an answer is good is known to the system's resolver. Owned by Loop. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/expected.h"
#include "io/helpers.h"
#include "io/socket_address.h"

namespace hg::io {

class Resolver {
 public:
  using Callback = std::function<void(Expected<std::vector<SocketAddress>>)>;
  static constexpr size_t kThreads = 4;
  static constexpr size_t kMaxNames = 256;  // asked for at a time: services and bootstrap nodes have fewer

  explicit Resolver(Loop& loop) : helpers_(loop, kThreads) {}

  /// In the system's order of preference, with `port`. Errors: ENOTFOUND, EBUSY (kMaxNames), EMFILE.
  void resolve(const std::string& name, uint16_t port, Callback callback);

 private:
  struct Waiting {
    uint16_t port;
    Callback callback;
  };
  void answer(const std::string& name, const Expected<std::vector<SocketAddress>>& found);

  std::map<std::string, std::vector<Waiting>> waiting_;  // by name
  Helpers helpers_;
};

}  // namespace hg::io
