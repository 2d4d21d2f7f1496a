//! Places as clients see them, and that what they log gives the same again.

use super::tests::Bench;

#[test]
fn places_are_added_and_told() {
    Bench::new().check(
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
         > :2
         GEOADD g XX CH 13.361389 38.115556 Palermo
         > :0
         GEOADD g NX XX 1 1 x
         > -ERR syntax error
         GEOADD g 181 1 x
         > -ERR invalid longitude,latitude pair 181.000000,1.000000
         GEOADD g x 1 x
         > -ERR value is not a valid float
         ZSCORE g Palermo
         > $16 3479099956230698
         GEODIST g Palermo Catania
         > $11 166274.1516
         GEODIST g Palermo Catania km
         > $8 166.2742
         GEODIST g Palermo nobody
         > $-1
         GEODIST g Palermo Catania x
         > -ERR unsupported unit provided. please use M, KM, FT, MI
         GEOHASH g Palermo nobody
         > *2 $11 sqc8b49rny0 $-1
         GEOPOS g Palermo nobody
         > *2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1",
    );
}

#[test]
fn places_are_found_and_stored() {
    Bench::new().check(
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 e1
         > :3
         GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST
         > *2 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424
         GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1
         > *1 $2 e1
         GEOSEARCH g FROMMEMBER Palermo BYRADIUS 100 km ASC
         > *2 $7 Palermo $2 e1
         GEOSEARCH g BYPOLYGON 4 12 38 14 38 14 39 12 39 ASC
         > *2 $2 e1 $7 Palermo
         GEOSEARCH g BYPOLYGON 2 12 38 14 38
         > -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
         GEOSEARCH g FROMMEMBER nobody BYRADIUS 100 km
         > -ERR could not decode requested zset member
         GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 m
         > -ERR syntax error
         GEOSEARCH g ASC BYRADIUS 100 km WITHDIST
         > -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
         GEOSEARCHSTORE s g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST
         > :2
         ZRANGE s 0 0
         > *1 $7 Catania
         GEORADIUSBYMEMBER g Palermo 100 km STORE t
         > :2
         ZSCORE t Palermo
         > $16 3479099956230698
         GEORADIUS g 15 37 1 m STORE t
         > :0
         EXISTS t
         > :0
         GEORADIUS_RO g 15 37 200 km WITHHASH COUNT 1
         > *1 *2 $7 Catania :3479447370796909
         GEORADIUS g 15 37 200 km WITHDIST STORE t
         > -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
             WITHCOORD options
         GEORADIUS g 15 37 -1 km
         > -ERR radius cannot be negative
         GEORADIUS g 15 37 1 km ANY
         > -ERR the ANY argument requires COUNT argument",
    );
}
