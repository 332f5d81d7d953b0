#include "peer/proof.h"

namespace hg::peer {

Proof::Proof(Runtime& runtime, std::unique_ptr<noise::SecureConnection> connection, Done done)
    : runtime_(runtime), connection_(std::move(connection)), done_(std::move(done)), finish_(runtime.timers(), [this] { finish(); }) {
  finish_.arm(runtime_.now() + kTimeout);
  connection_->set_handler(this);
}

void Proof::on_open() {
  proven_ = true;
  connection_->pause_reading();
  finish_.arm(runtime_.now());
}

void Proof::on_close(const std::optional<Error>& error) {
  error_ = error ? *error : Error{"ECONNRESET", "the other side closed at once"};
  finish_.arm(runtime_.now());
}

void Proof::finish() {
  const Done done = std::move(done_);
  auto connection = std::move(connection_);
  connection->set_handler(nullptr);
  if (error_) return done(std::move(*error_));
  if (!proven_) return done(Error{"ETIMEDOUT", "no sign of the other side"});
  connection->resume_reading();
  done(std::move(connection));
}

}  // namespace hg::peer
