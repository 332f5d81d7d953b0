# What `./dev package` puts into a Debian package: the ordinary program, so that security updates of OpenSSL and libsodium reach it, units of
# systemd, manual page, completion, schemas, examples. Every destination counts from the root of the system.
set(PACKAGE ${CMAKE_SOURCE_DIR}/package)
set(MADE ${CMAKE_BINARY_DIR}/package)
set(DOC usr/share/doc/hypergate)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

function(compress from to)
  execute_process(COMMAND gzip -9n INPUT_FILE ${from} OUTPUT_FILE ${to} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(READ ${PACKAGE}/sandbox.conf SANDBOX)
foreach(unit provider gateway dht)
  configure_file(${PACKAGE}/hypergate-${unit}.service.in ${MADE}/hypergate-${unit}.service @ONLY)
  install(FILES ${MADE}/hypergate-${unit}.service DESTINATION lib/systemd/system)
  # May hold secrets; systemd reads them as root.
  install(FILES ${PACKAGE}/${unit}.env DESTINATION etc/hypergate PERMISSIONS OWNER_READ OWNER_WRITE)
  string(APPEND CONFFILES "/etc/hypergate/${unit}.env\n")
endforeach()
file(WRITE ${MADE}/conffiles "${CONFFILES}")

# The manual page has its options from `hypergate --help`.
configure_file(${PACKAGE}/hypergate.1.in ${MADE}/hypergate.1.in @ONLY)
add_custom_command(OUTPUT ${MADE}/hypergate.1.gz
  COMMAND hypergate --help > help
  COMMAND awk -f ${PACKAGE}/manual.awk help hypergate.1.in > hypergate.1
  COMMAND gzip -9nf hypergate.1
  WORKING_DIRECTORY ${MADE} DEPENDS hypergate ${PACKAGE}/manual.awk ${MADE}/hypergate.1.in VERBATIM)
add_custom_target(hypergate-manual DEPENDS ${MADE}/hypergate.1.gz)

string(TIMESTAMP DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)  # of SOURCE_DATE_EPOCH, where that is set
configure_file(${PACKAGE}/changelog.in ${MADE}/changelog @ONLY)
compress(${MADE}/changelog ${MADE}/changelog.gz)

# Of libraries that are headers a part is in the program: their terms want to be told.
write_notices(${MADE}/copyright libcli11-dev libspdlog-dev libfmt-dev)

install(TARGETS hypergate RUNTIME DESTINATION usr/bin)
install(FILES ${MADE}/hypergate.1.gz DESTINATION usr/share/man/man1)
install(FILES ${PACKAGE}/hypergate.bash DESTINATION usr/share/bash-completion/completions RENAME hypergate)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/schema DESTINATION usr/share/hypergate)
install(DIRECTORY ${PACKAGE}/examples DESTINATION ${DOC})
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${MADE}/copyright ${MADE}/changelog.gz DESTINATION ${DOC})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME hypergate)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT ${HG_MAINTAINER})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "peer-to-peer tunnel for TCP and UDP services behind NAT
Hypergate exposes a TCP or UDP service behind any NAT through an encrypted
peer-to-peer tunnel. A provider runs where the service lives, a gateway opens
the ports, a shared router secret joins them. They find each other over the
Hyperswarm DHT: there is no server to rent and no account.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PACKAGE}/postinst ${PACKAGE}/prerm ${PACKAGE}/postrm ${MADE}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
