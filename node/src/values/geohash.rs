//! Places on the earth as 52-bit numbers, and distances between them.
//!
//! The bits of longitude and latitude take turns, so numbers near each other are often places near
//! each other: a search looks through nine cells, a few ranges of numbers. Constants and formulas
//! are those of Redis, so that scores, distances and coordinates are the same.

/// Limits of longitude and latitude (EPSG:3857).
pub const LONGITUDE_MAX: f64 = 180.0;
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// Bits of each coordinate in a score.
const STEPS: u32 = 26;

const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// Half the length of the equator in the projection.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

const EVEN_BITS: u64 = 0x5555_5555_5555_5555;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

/// From west to east and from south to north.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

/// One of the `4^steps` cells of the earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    steps: u32,
}

/// Spreads 32 bits over the even bits of 64.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN_BITS),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// Gathers the even bits of 64.
fn gather(bits: u64) -> u32 {
    let mut x = bits & EVEN_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// A score as a signed integer, as x86 converts it: what does not fit is the least one.
pub fn signed(score: f64) -> i64 {
    if (-TWO_TO_63..TWO_TO_63).contains(&score) {
        score as i64
    } else {
        i64::MIN
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A score as bits, as x86 converts it. Only scores that are no places differ between machines.
fn bits_of(score: f64) -> u64 {
    if score < TWO_TO_63 {
        signed(score) as u64
    } else {
        signed(score - TWO_TO_63) as u64 ^ 1 << 63
    }
}

impl Place {
    /// Whether it can be told as a number.
    pub fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    fn cell_within(self, latitude_max: f64, steps: u32) -> Cell {
        let part = |value: f64, max: f64| {
            let offset = (value + max) / (2.0 * max);
            (offset * (1u64 << steps) as f64) as u32
        };
        let latitude = part(self.latitude, latitude_max);
        let longitude = part(self.longitude, LONGITUDE_MAX);
        Cell {
            bits: spread(latitude) | spread(longitude) << 1,
            steps,
        }
    }

    fn cell(self, steps: u32) -> Cell {
        self.cell_within(LATITUDE_MAX, steps)
    }

    /// The number of the place: what a sorted set keeps as its score.
    pub fn score(self) -> u64 {
        self.cell(STEPS).bits
    }

    /// The middle of the smallest cell, of which the score is the number.
    pub fn of_score(score: f64) -> Self {
        let cell = Cell {
            bits: bits_of(score),
            steps: STEPS,
        };
        let bounds = cell.bounds();
        let longitude = f64::midpoint(bounds.west, bounds.east);
        let latitude = f64::midpoint(bounds.south, bounds.north);
        Self {
            longitude: longitude.clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The geohash that the rest of the world uses, of eleven characters.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = self.cell_within(90.0, STEPS).bits;
        std::array::from_fn(|at| {
            // 52 bits are ten characters and a bit; the last one says nothing.
            let digit = if at == 10 { 0 } else { bits >> (47 - at * 5) };
            ALPHABET[digit as usize % 32]
        })
    }

    /// Meters along the surface (haversine).
    pub fn distance_m(self, other: Self) -> f64 {
        let half_sine = |from: f64, to: f64| ((radians(to) - radians(from)) / 2.0).sin();
        let of_longitude = half_sine(self.longitude, other.longitude);
        if of_longitude == 0.0 {
            return self.distance_north_m(other);
        }
        let of_latitude = half_sine(self.latitude, other.latitude);
        let cosines = radians(self.latitude).cos() * radians(other.latitude).cos();
        let sum = of_latitude * of_latitude + cosines * of_longitude * of_longitude;
        2.0 * EARTH_RADIUS_M * sum.sqrt().asin()
    }

    fn distance_north_m(self, other: Self) -> f64 {
        EARTH_RADIUS_M * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

impl Cell {
    fn bounds(self) -> Bounds {
        let (row, column) = (gather(self.bits), gather(self.bits >> 1));
        let edge = |number: u64, max: f64| {
            -max + (number as f64 / (1u64 << self.steps) as f64) * (2.0 * max)
        };
        let (row, column) = (u64::from(row), u64::from(column));
        Bounds {
            west: edge(column, LONGITUDE_MAX),
            south: edge(row, LATITUDE_MAX),
            east: edge(column + 1, LONGITUDE_MAX),
            north: edge(row + 1, LATITUDE_MAX),
        }
    }

    /// The cell so many columns east and rows north, round the earth.
    fn neighbour(self, east: i64, north: i64) -> Self {
        let mask = (1u64 << self.steps) - 1;
        let moved =
            |bits: u64, by: i64| (u64::from(gather(bits)).wrapping_add_signed(by) & mask) as u32;
        let (row, column) = (moved(self.bits, north), moved(self.bits >> 1, east));
        Self {
            bits: spread(row) | spread(column) << 1,
            steps: self.steps,
        }
    }

    /// The scores of places within: from the first, up to the second without it.
    pub fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        (
            (self.bits << shift) as f64,
            ((self.bits + 1) << shift) as f64,
        )
    }
}

/// What a search looks for places in.
#[derive(Debug, Clone)]
pub enum Shape {
    Circle {
        center: Place,
        radius_m: f64,
    },
    Box {
        center: Place,
        width_m: f64,
        height_m: f64,
    },
    Polygon {
        center: Place,
        vertices: Vec<Place>,
    },
}

impl Shape {
    /// A polygon around the mean of its vertices on the sphere, of which it has some.
    pub fn polygon(vertices: Vec<Place>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for place in &vertices {
            let (sine, cosine) = radians(place.latitude).sin_cos();
            let longitude = radians(place.longitude);
            x += cosine * longitude.cos();
            y += cosine * longitude.sin();
            z += sine;
        }
        let center = Place {
            longitude: degrees(f64::atan2(y, x)),
            latitude: degrees(f64::atan2(z, x.hypot(y))),
        };
        Self::Polygon { center, vertices }
    }

    fn center(&self) -> Place {
        match self {
            Self::Circle { center, .. }
            | Self::Box { center, .. }
            | Self::Polygon { center, .. } => *center,
        }
    }

    /// The distance of a place from the center, if it is within the shape.
    pub fn distance_m(&self, place: Place) -> Option<f64> {
        let is_within = match self {
            Self::Circle { center, radius_m } => {
                let distance_m = center.distance_m(place);
                return (distance_m <= *radius_m).then_some(distance_m);
            }
            Self::Box {
                center,
                width_m,
                height_m,
            } => {
                let beside = Place {
                    longitude: center.longitude,
                    latitude: place.latitude,
                };
                place.distance_north_m(*center) <= height_m / 2.0
                    && place.distance_m(beside) <= width_m / 2.0
            }
            Self::Polygon { vertices, .. } => is_inside(place, vertices),
        };
        is_within.then(|| self.center().distance_m(place))
    }

    fn bounds(&self) -> Bounds {
        let (center, half_width_m, half_height_m) = match self {
            Self::Circle { center, radius_m } => (*center, *radius_m, *radius_m),
            Self::Box {
                center,
                width_m,
                height_m,
            } => (*center, width_m / 2.0, height_m / 2.0),
            Self::Polygon { vertices, .. } => return bounds_of(vertices),
        };
        let north = degrees(half_height_m / EARTH_RADIUS_M);
        let east_at =
            |latitude: f64| degrees(half_width_m / EARTH_RADIUS_M / radians(latitude).cos());
        // The wider of the two edges is the one nearer to a pole.
        let east = if center.latitude < 0.0 {
            east_at(center.latitude - north)
        } else {
            east_at(center.latitude + north)
        };
        Bounds {
            west: center.longitude - east,
            south: center.latitude - north,
            east: center.longitude + east,
            north: center.latitude + north,
        }
    }

    fn radius_m(&self) -> f64 {
        match self {
            Self::Circle { radius_m, .. } => *radius_m,
            Self::Box {
                width_m, height_m, ..
            } => (width_m / 2.0).hypot(height_m / 2.0),
            Self::Polygon { center, vertices } => {
                let distances = vertices.iter().map(|vertex| center.distance_m(*vertex));
                distances.fold(0.0, f64::max)
            }
        }
    }

    /// The cells that hold all places within: the one of the center first, then its neighbours as
    /// far as they are needed.
    pub fn cells(&self) -> Vec<Cell> {
        let (center, bounds) = (self.center(), self.bounds());
        let mut steps = steps_for(self.radius_m(), center.latitude);
        let mut middle = center.cell(steps);
        let edge = |east, north| middle.neighbour(east, north).bounds();
        let is_too_small = edge(0, 1).north < bounds.north
            || edge(0, -1).south > bounds.south
            || edge(1, 0).east < bounds.east
            || edge(-1, 0).west > bounds.west;
        if steps > 1 && is_too_small {
            steps -= 1;
            middle = center.cell(steps);
        }
        let own = middle.bounds();
        let excludes = |east: i64, north: i64| {
            steps >= 2
                && ((north < 0 && own.south < bounds.south)
                    || (north > 0 && own.north > bounds.north)
                    || (east < 0 && own.west < bounds.west)
                    || (east > 0 && own.east > bounds.east))
        };
        let around = [
            (0, 1),
            (0, -1),
            (1, 0),
            (-1, 0),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ];
        let mut cells = vec![middle];
        for (east, north) in around {
            let cell = middle.neighbour(east, north);
            // With few cells around the earth a neighbour may be another's too.
            if !excludes(east, north) && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// How many steps give cells of about the size of a radius.
fn steps_for(radius_m: f64, latitude: f64) -> u32 {
    if radius_m <= 0.0 {
        return STEPS;
    }
    let (mut range_m, mut steps) = (radius_m, 1i32);
    while range_m < MERCATOR_MAX_M {
        range_m *= 2.0;
        steps += 1;
    }
    // Cells are narrower near the poles.
    steps -= 2 + i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS as i32).unsigned_abs()
}

fn bounds_of(vertices: &[Place]) -> Bounds {
    let fold = |of: fn(&Place) -> f64, pick: fn(f64, f64) -> f64| {
        vertices.iter().map(of).reduce(pick).unwrap_or(0.0)
    };
    Bounds {
        west: fold(|place| place.longitude, f64::min),
        south: fold(|place| place.latitude, f64::min),
        east: fold(|place| place.longitude, f64::max),
        north: fold(|place| place.latitude, f64::max),
    }
}

/// Whether a ray from the place crosses the edges an odd number of times.
fn is_inside(place: Place, vertices: &[Place]) -> bool {
    let mut inside = false;
    let Some(mut from) = vertices.last() else {
        return false;
    };
    for to in vertices {
        let spans = (from.latitude > place.latitude) != (to.latitude > place.latitude);
        if spans {
            let part = (place.latitude - from.latitude) / (to.latitude - from.latitude);
            let crossing = from.longitude + part * (to.longitude - from.longitude);
            inside ^= place.longitude < crossing;
        }
        from = to;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Place = Place {
        longitude: 13.361_389,
        latitude: 38.115_556,
    };
    const CATANIA: Place = Place {
        longitude: 15.087_269,
        latitude: 37.502_669,
    };

    #[test]
    fn scores_hashes_and_distances_are_those_of_the_documentation() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909);
        let (one, other) = (
            Place::of_score(PALERMO.score() as f64),
            Place::of_score(CATANIA.score() as f64),
        );
        assert_eq!(format!("{:.4}", one.distance_m(other)), "166274.1516");
        assert_eq!(one.geohash(), *b"sqc8b49rny0");
        assert_eq!(other.geohash(), *b"sqdtr74hyu0");
    }

    #[test]
    fn cells_hold_every_place_within_a_shape() {
        let mut state = 1u64;
        let mut random = |max: f64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * max
        };
        for _ in 0..2_000 {
            let center = Place {
                longitude: random(170.0),
                latitude: random(75.0),
            };
            let radius_m = random(1.0).abs().powi(6) * 500_000.0 + 1.0;
            let shape = Shape::Circle { center, radius_m };
            let cells = shape.cells();
            for _ in 0..20 {
                let near = radius_m / 80_000.0;
                let place = Place {
                    longitude: center.longitude + random(near),
                    latitude: center.latitude + random(near),
                };
                if place.is_valid() && shape.distance_m(place).is_some() {
                    let score = place.score() as f64;
                    let mut scores = cells.iter().map(|cell| cell.scores());
                    let held = scores.any(|(from, to)| from <= score && score < to);
                    assert!(held, "{center:?} {radius_m} {place:?}");
                }
            }
        }
    }

    #[test]
    fn polygons_hold_what_is_inside() {
        let at = |longitude: f64, latitude: f64| Place {
            longitude,
            latitude,
        };
        let shape = Shape::polygon(vec![at(0.0, 0.0), at(4.0, 0.0), at(4.0, 4.0), at(2.0, 1.0)]);
        assert!(shape.distance_m(at(3.0, 1.0)).is_some());
        assert!(shape.distance_m(at(1.0, 2.0)).is_none());
        assert!(shape.distance_m(at(5.0, 1.0)).is_none());
    }

    #[test]
    fn the_middle_of_a_polygon_is_one_of_the_sphere() {
        let at = |longitude: f64, latitude: f64| Place {
            longitude,
            latitude,
        };
        // The pole, not a place in the middle of the square that the degrees draw.
        let corners = [0.0, 90.0, 180.0, -90.0].map(|longitude| at(longitude, 60.0));
        let center = Shape::polygon(corners.to_vec()).center();
        assert!((center.latitude - 90.0).abs() < 1e-9, "{center:?}");
    }
}
