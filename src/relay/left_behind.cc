#include "relay/left_behind.h"

namespace hg::relay {

Remainder::Remainder(LeftBehind& all, Owner& owner, size_t bytes) : all_(all), owner_(owner), bytes_(bytes) {
  place_ = all_.by_progress_.insert(all_.by_progress_.end(), this);
  all_.bytes_ += bytes_;
  progressed();
}

Remainder::~Remainder() {
  all_.bytes_ -= bytes_;
  all_.by_progress_.erase(place_);
}

void Remainder::wrote(size_t bytes) {
  bytes_ -= bytes;
  all_.bytes_ -= bytes;
  progressed();
}

void Remainder::progressed() {
  progressed_at_ = all_.loop_.now();
  under_way_ = owner_.under_way();
  all_.by_progress_.splice(all_.by_progress_.end(), all_.by_progress_, place_);
  if (!all_.timer_.armed()) all_.arm();
}

bool Remainder::has_moved() {
  if (!owner_.held_back() && owner_.under_way() >= under_way_) return false;
  progressed();
  return true;
}

/// One alone is never too much: a window bounds it.
void LeftBehind::make_room() {
  while (bytes_ > limits_.max_left_behind && by_progress_.size() > 1) {
    Remainder& first = *by_progress_.front();
    const bool worth_a_look = loop_.now() - first.progressed_at_ >= kFresh;
    if (!worth_a_look || !first.has_moved()) first.owner_.cut_off();
  }
}

void LeftBehind::run() {
  while (!by_progress_.empty() && by_progress_.front()->progressed_at_ + limits_.left_behind_patience <= loop_.now()) {
    Remainder& first = *by_progress_.front();
    if (!first.has_moved()) first.owner_.cut_off();
  }
  if (!by_progress_.empty()) arm();
}

void LeftBehind::arm() { timer_.arm(by_progress_.front()->progressed_at_ + limits_.left_behind_patience); }

}  // namespace hg::relay
