#include "app/commands.h"

#include <cstdio>

#include "app/check.h"
#include "app/demo.h"
#include "app/dht_command.h"
#include "app/doctor.h"
#include "app/member.h"
#include "app/scan.h"
#include "app/status_command.h"
#include "crypto/crypto.h"
#include "tunnel/hello.h"

namespace hg::app {

namespace {

int print_new_secret() {
  const Seed secret = crypto::system_rng().array<32>();
  std::puts(tunnel::format_router_secret(secret).c_str());
  return 0;
}

Expected<MemberPlan> plan_member(Config config) {
  MemberPlan plan;
  plan.sources = sources_of(config);
  for (Source& source : plan.sources)
    if (const auto looked = source.look(); !looked) return looked.error();
  auto wanted = combine(said_by(plan.sources));
  if (!wanted) return wanted.error();
  if (const auto offered = check_offer(config, plan.sources, *wanted); !offered) return offered.error();
  plan.wanted = std::move(*wanted);
  plan.config = std::move(config);
  return plan;
}

}  // namespace

Expected<std::function<int()>> prepare(Config config) {
  switch (config.command) {
    case Command::kNew:
      return std::function<int()>(print_new_secret);
    case Command::kDht:
      return std::function<int()>([config] { return run_dht(config); });
    case Command::kScan:
      return std::function<int()>([config] { return run_scan(config); });
    case Command::kDoctor:
      return std::function<int()>([config] { return run_doctor(config); });
    case Command::kStatus:
      return std::function<int()>([config] { return run_status(config); });
    case Command::kCheck:
      return std::function<int()>([config] { return run_check(config.check_files); });
    case Command::kDemo:
      return std::function<int()>([config] { return run_demo(config); });
    case Command::kRun: {
      auto plan = plan_member(std::move(config));
      if (!plan) return plan.error();
      return std::function<int()>([plan = std::move(*plan)] {
        io::Loop loop(crypto::system_rng());
        return Member(loop, plan).run();
      });
    }
    case Command::kHelp:
    case Command::kVersion:
      break;
  }
  return Error{"USAGE", "nothing to do; see hypergate --help"};
}

}  // namespace hg::app
