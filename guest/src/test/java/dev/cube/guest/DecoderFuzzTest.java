package dev.cube.guest;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;
import com.code_intelligence.jazzer.junit.FuzzTest;
import java.nio.ByteBuffer;
import java.util.function.Function;

/** Whatever a guest sends is decoded or is a violation of the protocol; nothing else comes of it. */
class DecoderFuzzTest {
    @FuzzTest
    void framesAreDecodedOrRefused(byte[] data) {
        var outbox = new Outbox();
        var channels = new ChannelTable(outbox);
        for (Operation operation : Operation.values()) {
            channels.open(operation);
        }
        try {
            FrameDecoder.decode(ByteBuffer.wrap(data), (type, flags, id, payload) -> {
                Channel channel = channels.require(id);
                switch (type) {
                    case Wire.OPENED -> channel.onOpened(payload);
                    case Wire.OUT -> channel.onData(flags, payload);
                    case Wire.EOF -> channel.onEof();
                    case Wire.GRANT -> channel.onGrant(payload);
                    default -> channel.onClosed(payload);
                }
            });
        } catch (ProtocolViolation expected) {
            return;
        }
    }

    @FuzzTest
    void answersAreReadOrRefused(FuzzedDataProvider data) {
        Function<Reply, ?> reading = data.pickValue(new Function[] {
            (Function<Reply, ?>) Reply::fileInfo, (Function<Reply, ?>) Reply::process, (Function<Reply, ?>) Reply::user,
            (Function<Reply, ?>) Reply::metrics, (Function<Reply, ?>) Reply::message,
            (Function<Reply, ?>) Reply::fileEvent,
        });
        try {
            var listing = new Listing(1000, 1 << 20);
            listing.add(data.consumeRemainingAsBytes());
            listing.decode(reading);
        } catch (ProtocolViolation expected) {
            return;
        }
    }
}
