// Who this process is: a container or a process of the host.
#include "docker/self.h"

#include <gtest/gtest.h>

#include "support/docker_engine.h"

namespace hg::docker {
namespace {

using namespace test;

TEST(Self, FromMountinfo) {
  const std::string id = id_of('c');
  EXPECT_EQ(container_id_of("635 624 254:1 /var/lib/docker/containers/" + id + "/resolv.conf /etc/resolv.conf rw - ext4 /dev/x rw\n"), id);
  EXPECT_EQ(container_id_of("635 624 254:1 /x/containers/" + id + "/shm /x rw\n"), std::nullopt);  // the host sees a container's memory
  EXPECT_EQ(container_id_of("1 2 3:4 / / rw\n"), std::nullopt);
  EXPECT_TRUE(host_process_alive(host_process_tag()));
  EXPECT_FALSE(host_process_alive("host:1:0"));
  EXPECT_FALSE(host_process_alive("host:../x"));
}

}  // namespace
}  // namespace hg::docker
