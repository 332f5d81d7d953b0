# Third-party libraries beyond the ones every build needs; see DEPENDENCIES.md.
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
target_compile_definitions(hg_io PUBLIC BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)
target_link_libraries(hg_io PUBLIC Boost::headers Threads::Threads)
