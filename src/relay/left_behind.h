// What sockets have not taken yet of channels that are closed: no window counts it any more, so it is counted here.
//
//   channel closed ─▶ Remainder(bytes) ─▶ wrote() … ─▶ all taken: destroyed
//                        ├─ too much in all: cut off, the one longest without progress first
//                        └─ no progress for Limits::left_behind_patience: cut off
//
// Progress is what the other end takes: also from the kernel's queue, which may be long. Part of a LinkContext. One thread.
#pragma once

#include <list>

#include "base/timer.h"
#include "io/loop.h"
#include "tunnel/limits.h"

namespace hg::relay {

class LeftBehind;

/// Owned by what writes the bytes; destroying it says that none are left.
class Remainder {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Bytes written that the other end has not taken.
    virtual size_t under_way() const = 0;
    /// It waits for something else than the other end.
    virtual bool held_back() const = 0;
    /// Destroys the remainder.
    virtual void cut_off() = 0;
  };

  Remainder(LeftBehind& all, Owner& owner, size_t bytes);
  ~Remainder();
  Remainder(const Remainder&) = delete;
  Remainder& operator=(const Remainder&) = delete;

  void wrote(size_t bytes);

 private:
  friend class LeftBehind;

  void progressed();
  /// Whether there was progress since; noted if so.
  bool has_moved();

  LeftBehind& all_;
  Owner& owner_;
  size_t bytes_;
  size_t under_way_ = 0;  // when it progressed
  TimePoint progressed_at_{};
  std::list<Remainder*>::iterator place_;
};

class LeftBehind {
 public:
  LeftBehind(io::Loop& loop, const tunnel::Limits& limits) : loop_(loop), limits_(limits), timer_(loop.timers(), [this] { run(); }) {}

  size_t bytes() const { return bytes_; }
  /// After each new remainder, once its owner has it: that one may be who is cut off.
  void make_room();

 private:
  friend class Remainder;

  static constexpr Duration kFresh = 1s;  // a look into the kernel is worth that much

  void run();
  void arm();

  io::Loop& loop_;
  const tunnel::Limits& limits_;
  std::list<Remainder*> by_progress_;  // longest without first
  size_t bytes_ = 0;
  Timer timer_;
};

}  // namespace hg::relay
