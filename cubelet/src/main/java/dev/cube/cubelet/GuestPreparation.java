package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import java.util.function.Consumer;

/** What is done in a guest before others are made from it. */
public interface GuestPreparation {
    /** Starts and exercises what should be warm in every sandbox of the template. */
    void warmUp(GuestAgent agent, Consumer<String> log);

    /**
     * Does in a sandbox of the template what its users will do first, so that a live fork of it finds the guest's code
     * paths translated and its page cache warm. Leaves the guest as it was, as far as a user can see.
     */
    void exercise(GuestAgent agent);

    /** Does once what a sandbox's user does first, in a sandbox that is thrown away. */
    void useFirst(GuestAgent agent);

    /** Whether a port answers: by the service that the host provides there, or by the guest's own. */
    boolean probe(GuestAgent agent, int port);
}
