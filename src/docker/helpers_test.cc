// Helper gateways are made, kept alive and removed.
#include "docker/helpers.h"

#include <gtest/gtest.h>

#include "docker/discovery.h"
#include "docker/self.h"
#include "support/docker_engine.h"
#include "support/log_lines.h"

namespace hg::docker {
namespace {

using namespace test;

class WithHelpers : public WithEngine {
 protected:
  HelperOptions options() const { return {{"", "routername", "net", "img", host_process_tag(), {}, {}}, std::string(64, 'e')}; }
  size_t running() const {
    return static_cast<size_t>(
        std::count_if(fake_.states.begin(), fake_.states.end(), [](const auto& entry) { return entry.second == "running"; }));
  }
};

TEST_F(WithHelpers, FollowWhatIsWanted) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web", "127.0.0.1"});
  ASSERT_TRUE(until([&] { return running() == 2; }));
  for (const auto& [id, settings] : fake_.created) {
    EXPECT_NE(fake_.put[id].find(std::string(64, 'e')), std::string::npos);
    EXPECT_EQ(json::serialize(settings).find(std::string(64, 'e')), std::string::npos);
  }
  helpers.want({"web"});
  ASSERT_TRUE(until([&] { return fake_.created.size() == 1; }));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped; }));
  EXPECT_TRUE(fake_.created.empty());
}

TEST_F(WithHelpers, OneThatIsKilledIsMadeAgain) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  const std::string id = fake_.states.begin()->first;
  fake_.states[id] = "exited";
  helpers.on_event({"container", "die", id, {{kLabelHelper, "routername"}}, 0});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  EXPECT_FALSE(fake_.created.contains(id));
}

TEST_F(WithHelpers, AreToldAFilterThatChanges) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web"});
  ASSERT_TRUE(until([&] { return running() == 2; }));
  const auto id_for = [&](const std::string& host) {
    for (const auto& [id, settings] : fake_.created)
      if (settings.at("Labels").at(kLabelHelperHost).as_string() == host) return id;
    return std::string();
  };
  const auto told = [&](const std::string& host, const char* text) { return fake_.put[id_for(host)].find(text) != std::string::npos; };
  const auto puts = [&] {
    return std::count_if(fake_.asked.begin(), fake_.asked.end(), [](const auto& what) { return what.starts_with("PUT "); });
  };
  EXPECT_TRUE(told("db", R"([{"serviceHost":"db"}])"));
  EXPECT_EQ(puts(), 2);
  tunnel::GateMatch port;
  port.service_host = "db";
  port.gate_port = 3306;
  fake_.read_only = true;
  helpers.set_filter({port});
  ASSERT_TRUE(until([&] { return puts() == 3; })) << "refused";
  fake_.read_only = false;
  helpers.check();
  ASSERT_TRUE(until([&] { return told("db", R"([{"serviceHost":"db","gatePort":3306}])"); })) << "so it is tried again";
  EXPECT_TRUE(told("web", R"([{"serviceHost":"web"}])")) << "which is about to go";
  EXPECT_EQ(puts(), 4);
  const std::string id = id_for("db");
  fake_.states[id] = "exited";
  helpers.check();
  ASSERT_TRUE(until([&] { return !fake_.created.contains(id) && running() == 2; }));
  EXPECT_TRUE(told("db", R"("gatePort":3306)")) << "its successor has the filter of now";
  EXPECT_EQ(puts(), 5) << "and nobody else is told twice";
}

TEST_F(WithHelpers, LeftoversGoAndOthersStay) {
  auto foreign = [&](const std::string& host, const std::string& owner, char id) {
    fake_.created[id_of(id)] = {
        {"Name", host + "-hypergate-gateway-routername"},
        {"Labels", json::object{{kLabelHelper, "routername"}, {kLabelHelperHost, host}, {kLabelHelperOwner, owner}}}};
    fake_.states[id_of(id)] = "running";
  };
  add('a', "living gateway");
  foreign("db", id_of('a'), '1');
  foreign("web", id_of('9'), '2');
  foreign("mail", "host:1:0", '3');
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web"});
  ASSERT_TRUE(until([&] { return !fake_.created.contains(id_of('2')) && !fake_.created.contains(id_of('3')) && running() == 2; }));
  EXPECT_TRUE(fake_.created.contains(id_of('1')));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped; }));
  EXPECT_EQ(fake_.created.size(), 1u);
}

TEST_F(WithHelpers, OtherRoutersHelpersAreNoneOfOurs) {
  const std::string owners[] = {id_of('9'), host_process_tag()};  // one that is gone, and this very process, as gateway of two routers
  for (const char digit : {'1', '2'}) {
    fake_.created[id_of(digit)] = {
        {"Name", fmt::format("db-hypergate-gateway-other{}", digit)},
        {"Labels",
         json::object{{kLabelHelper, fmt::format("other{}", digit)}, {kLabelHelperHost, "db"}, {kLabelHelperOwner, owners[digit - '1']}}}};
    fake_.states[id_of(digit)] = "running";
  }
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 3; }));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped; }));
  EXPECT_EQ(2u, fake_.created.size());
  EXPECT_TRUE(fake_.created.contains(id_of('1')) && fake_.created.contains(id_of('2')));
}

TEST_F(WithHelpers, AreNeverMoreThanTheMost) {
  std::set<std::string> hosts;
  for (size_t i = 0; i < kMaxHelpers + 5; ++i) hosts.insert(fmt::format("host{:04}", i));
  Helpers helpers(loop_, engine_, options());
  helpers.want(hosts);
  ASSERT_TRUE(until([&] { return running() == kMaxHelpers; }));
  helpers.check();
  loop_.run_until([] { return false; }, 200ms);
  EXPECT_EQ(kMaxHelpers, fake_.created.size());
}

TEST_F(WithHelpers, OneThatCannotBeMadeIsTriedAgainAfterAGrowingPause) {
  const auto tries = [&] { return std::count(fake_.asked.begin(), fake_.asked.end(), "POST /containers/create"); };
  fake_.read_only = true;
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  std::vector<TimePoint> at;
  for (const int number : {1, 2, 3}) {
    ASSERT_TRUE(until([&] { return tries() == number; }));
    at.push_back(loop_.now());
    helpers.check();  // whatever happens at the engine meanwhile
  }
  EXPECT_GT(at[1] - at[0], 450ms);
  EXPECT_GT(at[2] - at[1], 950ms);
  fake_.read_only = false;
  EXPECT_TRUE(until([&] { return running() == 1; }));
}

TEST_F(WithHelpers, OneThatAnotherGatewayMadeFirstIsNotWaitedFor) {
  add('a', "the other gateway");
  HelperOptions others = options();
  others.common.owner = id_of('a');
  Helpers first(loop_, engine_, others);
  Helpers second(loop_, engine_, options());
  first.want({"db"});
  second.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  EXPECT_EQ(fake_.times_asked("POST /containers/create"), 2) << "one of them is refused: the name is taken";
  loop_.run_until([] { return false; }, 1500ms);
  EXPECT_EQ(fake_.times_asked("POST /containers/create"), 2);
  EXPECT_LE(fake_.times_asked("GET /containers/json"), 4) << "the refused one looks again, once";
}

TEST_F(WithHelpers, OneThatIsThereAfterAllIsNotWaitedFor) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  const auto made = std::exchange(fake_.created, {});
  fake_.read_only = true;
  helpers.check();
  ASSERT_TRUE(until([&] { return fake_.times_asked("POST /containers/create") == 2; })) << "in vain";
  fake_.created = made;
  const auto before = fake_.times_asked("GET /containers/json");
  helpers.check();
  loop_.run_until([] { return false; }, 1500ms);
  EXPECT_EQ(fake_.times_asked("POST /containers/create"), 2);
  EXPECT_LE(fake_.times_asked("GET /containers/json") - before, 3);
}

TEST_F(WithHelpers, OneThatCannotBeMadeAndIsNoLongerWantedIsForgotten) {
  fake_.read_only = true;
  fake_.holds = [](const std::string& what) { return what == "POST /containers/create"; };
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return fake_.held() == 1; }));
  helpers.want({});
  fake_.let_go();
  loop_.run_until([] { return false; }, 1500ms);
  EXPECT_EQ(fake_.times_asked("POST /containers/create"), 1);
  EXPECT_LE(fake_.times_asked("GET /containers/json"), 3);
}

TEST_F(WithHelpers, OneThatIsTakenOffTheNetworkIsMadeAgain) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web"});
  ASSERT_TRUE(until([&] { return running() == 2; }));
  const std::string id = fake_.created.begin()->first;
  const std::string other = fake_.created.rbegin()->first;
  fake_.disconnected.insert(id);
  helpers.check();
  EXPECT_TRUE(until([&] { return !fake_.created.contains(id) && running() == 2; }));
  EXPECT_TRUE(fake_.created.contains(other));
}

TEST_F(WithHelpers, ANetworkMayBeGivenByItsId) {
  HelperOptions by_id = options();
  by_id.common.network = id_of('7').substr(0, 12);
  fake_.network_id = id_of('7');
  Helpers helpers(loop_, engine_, by_id);
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  const std::string id = fake_.created.begin()->first;
  helpers.check();
  loop_.run_until([] { return false; }, 700ms);
  EXPECT_TRUE(fake_.created.contains(id));
}

TEST_F(WithHelpers, StopWithoutAnEngineEnds) {
  Helpers helpers(loop_, engine_, options());
  fake_.shut();
  helpers.want({"db"});
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_F(WithHelpers, StopWithAnEngineThatHangsEndsAndSaysHowToRemoveWhatIsLeft) {
  HelperOptions impatient = options();
  impatient.stop_limit = 300ms;
  Helpers helpers(loop_, engine_, impatient);
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  fake_.holds = [](const std::string&) { return true; };
  hg::test::LogLines log;
  int stopped = 0;
  helpers.stop([&] { ++stopped; });
  const TimePoint begun = loop_.now();
  EXPECT_TRUE(until([&] { return stopped > 0; }));
  EXPECT_GE(loop_.now() - begun, impatient.stop_limit);
  ASSERT_EQ(log.warnings.size(), 1u);
  EXPECT_NE(log.warnings[0].find("--filter label=hypergate.owner=" + host_process_tag()), std::string::npos) << log.warnings[0];
  fake_.let_go();
  EXPECT_TRUE(until([&] { return fake_.created.empty(); })) << "it goes on as long as it can";
  EXPECT_EQ(stopped, 1);
}

TEST_F(WithHelpers, StopDoesNotEndWithOneThatWasAboutToGo) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web"});
  ASSERT_TRUE(until([&] { return running() == 2; }));
  fake_.holds = [](const std::string& what) { return what.ends_with("/stop"); };
  helpers.want({"web"});
  ASSERT_TRUE(until([&] { return fake_.held() == 1; }));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  fake_.let_go();
  EXPECT_TRUE(until([&] { return stopped; }));
  EXPECT_TRUE(fake_.created.empty());
}

TEST_F(WithHelpers, StopWaitsForAllOfThemAtOnce) {
  std::set<std::string> hosts;
  for (size_t i = 0; i < 40; ++i) hosts.insert(fmt::format("host{:04}", i));
  Helpers helpers(loop_, engine_, options());
  helpers.want(hosts);
  ASSERT_TRUE(until([&] { return running() == hosts.size(); }));
  fake_.holds = [](const std::string& what) { return what.ends_with("/stop"); };
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  loop_.run_until([&] { return fake_.held() == hosts.size(); }, 2s);
  EXPECT_EQ(fake_.held(), hosts.size());
  fake_.let_go();
  EXPECT_TRUE(until([&] { return stopped; }));
  EXPECT_TRUE(fake_.created.empty());
}

}  // namespace
}  // namespace hg::docker
