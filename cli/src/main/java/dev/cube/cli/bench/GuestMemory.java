package dev.cube.cli.bench;

import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CommandResult;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;

/** Makes a guest's memory dirty, as the reference's benchmarks do: with a file in {@code /dev/shm}. */
final class GuestMemory {
    /**
     * Coreutils only, so that it works in any image. A tmpfs takes half of the memory unless told otherwise. What is
     * written is not zeros, nor the same from round to round.
     */
    private static final String FILL = """
            mount -o remount,size=100%% /dev/shm &&
            yes "$(head -c 3000 /dev/urandom | base64 -w 0)" | head -c %1$dM >/dev/shm/cube-bench &&
            [ "$(stat -c %%s /dev/shm/cube-bench)" = $((%1$d << 20)) ]""";

    private GuestMemory() {}

    static void write(Sandbox sandbox, int mebibytes) {
        if (mebibytes == 0) {
            return;
        }
        CommandResult result = sandbox.commands().run(FILL.formatted(mebibytes),
                CommandOptions.DEFAULT.withUser("root"));
        if (result.exitCode() != 0) {
            throw new CubeException("cannot write %d MB to /dev/shm in the sandbox: %s".formatted(mebibytes,
                    result.stderr().strip()));
        }
    }
}
