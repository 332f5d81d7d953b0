#include "tunnel/path_probe.h"

#include <algorithm>
#include <utility>

#include "tunnel/frames.h"

namespace hg::tunnel {

bool PathProbe::ask(uint32_t bytes, TimePoint now, Done done) {
  if (done_ || to_send_ > 0 || bytes == 0 || bytes > kMaxBytes) return false;
  done_ = std::move(done);
  result_ = {bytes, {}, {}};
  started_ = now;
  came_back_ = 0;
  to_send_ = bytes;
  ask_at_end_ = bytes;
  pump();
  return true;
}

bool PathProbe::on_message(ByteView body, TimePoint now) {
  if (body.size() < sizeof(uint32_t)) return false;
  if (const uint32_t wanted = load_u32_be(body.data()); wanted != 0) answer(wanted);
  const size_t filler = body.size() - sizeof(uint32_t);
  if (!done_ || filler == 0 || to_send_ != 0) return true;
  if (came_back_ == 0) first_back_ = now;
  came_back_ += filler;
  if (came_back_ < result_.bytes) return true;
  result_.up = first_back_ - started_;
  result_.down = now - first_back_;
  std::exchange(done_, {})(result_);
  return true;
}

/// One at a time, and not while asking ourselves: the two would measure each other.
void PathProbe::answer(uint32_t bytes) {
  if (done_ || to_send_ > 0) return;
  to_send_ = std::min<uint64_t>({bytes, kMaxBytes, kMaxAnswered - answered_});
  answered_ += to_send_;
  ask_at_end_ = 0;
  pump();
}

void PathProbe::pump() {
  while (to_send_ > 0 && has_room_()) {
    const size_t piece = std::min<uint64_t>(to_send_, kPiece);
    to_send_ -= piece;
    send_(to_send_ == 0 ? ask_at_end_ : 0, piece);
  }
}

}  // namespace hg::tunnel
