# The files that deploy/install puts below its prefix: the programs in bin, and in lib/muster every shared library that they
# load except glibc's, so that the folder can be moved. The GPU plug-in and CUDA's libraries (4 GB) are only in the image of GPU
# workers.
set(_programs muster muster-coordinator muster-data muster-worker)
foreach(_program muster-rank muster-parquet)
  if(TARGET ${_program})
    list(APPEND _programs ${_program})
  endif()
endforeach()
# RPATH and not RUNPATH: it also counts for the libraries that a library asks for.
foreach(_program ${_programs})
  set_target_properties(${_program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/muster")
  target_link_options(${_program} PRIVATE LINKER:--disable-new-dtags)
endforeach()
install(TARGETS ${_programs} RUNTIME_DEPENDENCY_SET muster_libraries RUNTIME DESTINATION bin COMPONENT programs)
install(RUNTIME_DEPENDENCY_SET muster_libraries
  PRE_EXCLUDE_REGEXES [[^ld-linux]] [[^lib(c|m|dl|rt|pthread|resolv)\.so\.]]
  LIBRARY DESTINATION lib/muster COMPONENT programs)
add_custom_target(programs DEPENDS ${_programs})
