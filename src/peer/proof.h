// Holds a fresh encrypted connection until the other side is proven to be there: its header has arrived
// and verified (or not, within kTimeout).
//
//   new ─▶ on_open │ closed │ kTimeout ─▶ done(connection or error), once, from a timer
//
// `done` may destroy the Proof. Owned by a server slot or a connector; destroying it is silent.
#pragma once

#include <functional>
#include <memory>

#include "base/timer.h"
#include "noise/secure_connection.h"

namespace hg::peer {

class Proof final : private ByteStreamHandler {
 public:
  static constexpr Duration kTimeout = 10s;  // hyperdht's patience with a peer whose packets are awaited
  using Done = std::function<void(Expected<std::unique_ptr<noise::SecureConnection>>)>;

  Proof(Runtime& runtime, std::unique_ptr<noise::SecureConnection> connection, Done done);

 private:
  void on_open() override;
  void on_data(ByteView) override {}
  void on_close(const std::optional<Error>& error) override;
  void finish();

  Runtime& runtime_;
  std::unique_ptr<noise::SecureConnection> connection_;
  Done done_;
  bool proven_ = false;
  std::optional<Error> error_;
  Timer finish_;
};

}  // namespace hg::peer
