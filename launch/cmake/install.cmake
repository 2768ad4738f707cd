# What `cmake --install` puts where, and the relocatable archive that CPack makes.
include(GNUInstallDirs)

set_target_properties(weft PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/weft")
target_link_options(weft PRIVATE -Wl,--disable-new-dtags)  # so that the path counts for the libraries' own needs, too
install(TARGETS weft RUNTIME_DEPENDENCY_SET weft_dependencies RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/weft OPTIONAL)
install(DIRECTORY launch/ DESTINATION ${CMAKE_INSTALL_DATADIR}/weft/launch USE_SOURCE_PERMISSIONS
  FILES_MATCHING PATTERN "*.sbatch" PATTERN "hostfile*" PATTERN "mpirun.sh"
  PATTERN cmake EXCLUDE PATTERN commands EXCLUDE PATTERN quickstart EXCLUDE)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(CODE "
  set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/bash-completion/completions\")
  file(MAKE_DIRECTORY \"\${folder}\")
  execute_process(COMMAND \"$<TARGET_FILE:weft>\" completion bash OUTPUT_FILE \"\${folder}/weft\" COMMAND_ERROR_IS_FATAL ANY)")
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

# The libraries of the archive: all but the C and C++ run time, which every system has, NVIDIA's, and Open MPI with
# what it brings, which must be the one of the machine: it knows the network and the job launcher (docs/launch.md).
install(RUNTIME_DEPENDENCY_SET weft_dependencies
  PRE_EXCLUDE_REGEXES
    "^ld-linux" "^lib(c|m|dl|rt|pthread|gcc_s|stdc\\+\\+)\\.so"
    "^libmpi" "^libopen-(rte|pal)" "^libhwloc" "^libevent" "^libpmix" "^libudev" "^libcap"
    "^lib(cuda|cublas|cublasLt|cudnn|nccl)\\.so"
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/weft COMPONENT libraries EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME weft)
set(CPACK_PACKAGE_VENDOR "The Weft authors")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_FILE_NAME weft-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_CMAKE_PROJECTS
  "${CMAKE_BINARY_DIR};weft;ALL;/" "${CMAKE_BINARY_DIR};weft;libraries;/")
include(CPack)
