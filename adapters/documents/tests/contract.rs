//! The contract of object codecs, over the JSON codec.

use novagate_contracts::CodecFixture;
use novagate_documents::stored::JsonObjectCodec;
use novagate_ports_base::ObjectCodec;

struct Json;

impl CodecFixture for Json {
    fn codec() -> impl ObjectCodec {
        JsonObjectCodec
    }
}

novagate_contracts::object_codec_contract!(Json);
