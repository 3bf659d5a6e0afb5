package dev.cube.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ChannelTest {
    private static final ByteBuffer OK = ByteBuffer.wrap(new byte[] {0});

    private final Channel channel = new Channel(7, Operation.WATCH, new Outbox());

    @Test
    void whatTheGuestEndsItselfIsDone() {
        channel.onOpened(ByteBuffer.allocate(0));
        channel.onClosed(OK.duplicate());

        assertThat(channel.next(Duration.ZERO)).containsInstanceOf(Channel.Item.Done.class);
    }

    /** Another thread may still be waiting, and get to know of both at once: it is no news from the guest. */
    @Test
    void theAnswerToBeingLetGoOfIsNoWordOfTheGuests() {
        channel.onOpened(ByteBuffer.allocate(0));
        channel.close();
        channel.onClosed(OK.duplicate());

        assertThatThrownBy(() -> channel.next(Duration.ofSeconds(1))).isInstanceOf(GuestException.class);
        assertThatThrownBy(channel::next).isInstanceOf(GuestException.class);
    }

    @Test
    void aChannelLetGoOfBeforeItWasOpenedIsNoBreachOfTheProtocol() {
        channel.close();
        channel.onClosed(OK.duplicate());

        assertThatThrownBy(channel::awaitOpened).isInstanceOf(GuestException.class);
    }
}
