// The emulator's control socket: a Unix stream socket, one command a line, one line of JSON for each.
//
//   counters      {"ab": {"packets_offered": …}, "ba": {…}}
//   mtu BYTES     both directions, from the next packet on: {"ok": true}
//   loss PERCENT  likewise
//   anything else {"error": "…"}
//
// Clients are served when the loop finds their socket readable. Owner: the emulator's loop. One thread.
#pragma once

#include <string>
#include <vector>

#include "base/expected.h"
#include "io/file_descriptor.h"
#include "link/lane.h"

namespace hg::link {

struct Link {
  Lane ab;
  Lane ba;
};

/// The answer to one command, without a line end.
std::string answer(Link& link, const std::string& command);

class Control {
 public:
  static constexpr size_t kMaxClients = 16;
  static constexpr size_t kMaxLine = 256;

  explicit Control(Link& link) : link_(link) {}
  Expected<void> listen(const std::string& path);
  /// Descriptors to wait for.
  std::vector<int> descriptors() const;
  void on_readable(int descriptor);

 private:
  struct Client {
    io::FileDescriptor fd;
    std::string line;
  };

  void accept_client();
  bool serve(Client& client);

  Link& link_;
  io::FileDescriptor listener_;
  std::vector<Client> clients_;
};

}  // namespace hg::link
