#include "peer/blind_relay_client.h"

#include <limits>

#include "base/log.h"
#include "peer/connector.h"

namespace hg::peer {

BlindRelayClient::BlindRelayClient(Context& context, const Setup& setup, Done done)
    : context_(context),
      setup_(setup),
      done_(std::move(done)),
      timer_(context.runtime.timers(), [this] { on_settled(); }),
      look_(context.runtime.timers(), [this] { look(); }),
      lost_(context.runtime.timers(), [this] {
        if (const auto tell = std::exchange(on_lost_, {})) tell();
      }) {
  timer_.arm(context_.now() + kTimeout);
  connect();
}

BlindRelayClient::~BlindRelayClient() {
  crypto::wipe(setup_.key_pair.secret_key);
  if (control_) control_->set_handler(nullptr);
}

bool BlindRelayClient::is_relay(const UdpSocket& socket, const Endpoint& from) const {
  if (!control_ || control_->closed()) return false;
  const auto path = control_->path();
  return path.socket == &socket && path.remote == from;
}

void BlindRelayClient::attach(const std::shared_ptr<BlindRelayClient>& client, noise::SecureConnection& connection) {
  connection.set_relay(client->setup_.relay);
  // One that has moved to another path keeps the client for a while; being asked whether that path works does it no harm.
  client->on_lost_ = [&connection] {
    connection.movable() ? connection.test_path() : connection.destroy(Error{"RELAY_LOST", "the relay is gone"});
  };
  if (client->control_->closed()) client->lost_.arm(client->context_.now());
}

void BlindRelayClient::connect() {
  ConnectOptions options;
  options.key_pair = setup_.key_pair;
  options.relaying = Relaying::kNever;
  if (context_.relays != nullptr) options.via = context_.relays->path_to(setup_.relay);
  via_path_ = options.via.has_value();
  attempt_over_ = false;
  tries_++;
  tried_at_ = context_.now();
  attempt_ = std::make_unique<Connector>(context_, setup_.relay, std::move(options), [this](auto made) { on_connected(std::move(made)); });
  look_.arm(context_.now() + kLook);
}

void BlindRelayClient::look() {
  const bool path_now = context_.relays != nullptr && context_.relays->path_to(setup_.relay).has_value();
  if (path_now && !via_path_) return connect();
  if (attempt_over_ && tries_ >= kMaxTries) return settle(failure_);
  if (attempt_over_ && context_.now() - tried_at_ >= kTryAgain) return connect();
  look_.arm(context_.now() + kLook);
}

void BlindRelayClient::on_connected(Expected<std::unique_ptr<noise::SecureConnection>> result) {
  if (result_) return;
  if (!result) {
    failure_ = result.error();
    attempt_over_ = true;
    return;
  }
  look_.disarm();
  control_ = std::move(*result);
  control_->limit_messages(BlindRelayChannel::kMaxFrame);
  BlindRelayChannel::Events events;
  events.on_pair = [this](const wire::Pair& pair) { on_pair(pair); };
  events.on_close = [this] { control_->destroy(Error{"RELAY_ABORTED", "the relay refuses"}); };
  channel_.emplace(*control_, std::move(events));
  channel_->open(setup_.key_pair.public_key);
  channel_->send(wire::Pair{setup_.is_initiator, setup_.token, setup_.stream_id, 0});
  control_->set_handler(this);
}

void BlindRelayClient::on_data(ByteView frame) {
  if (!channel_->read(frame)) control_->destroy(Error{"RELAY_ABORTED", "the relay's message makes no sense"});
}

void BlindRelayClient::on_pair(const wire::Pair& pair) {
  const bool ours = pair.is_initiator == setup_.is_initiator && crypto::equal_secret(pair.token, setup_.token);
  if (!ours || result_ || pair.id > std::numeric_limits<uint32_t>::max()) return;
  const auto path = control_->path();
  settle(Paired{path.socket, path.remote, static_cast<uint32_t>(pair.id)});
}

void BlindRelayClient::on_close(const std::optional<Error>& error) {
  if (!done_) return lost_.arm(context_.now());
  result_.reset();  // it may have been paired in this very turn
  settle(error ? *error : Error{"RELAY_ABORTED", "the relay closed"});
}

void BlindRelayClient::settle(Expected<Paired> result) {
  if (result_) return;
  look_.disarm();
  result_.emplace(std::move(result));
  timer_.arm(context_.now());
}

void BlindRelayClient::on_settled() {
  if (!result_) result_.emplace(Error{"RELAY_ABORTED", "the other side did not come to the relay in time"});
  if (!*result_) {
    HG_LOG(kDebug, "peer", "relay {}: {} ({})", to_hex(ByteView(setup_.relay).first(4)), result_->error().code, result_->error().message);
    attempt_.reset();
  }
  if (const auto done = std::exchange(done_, {})) done(*result_);
}

}  // namespace hg::peer
