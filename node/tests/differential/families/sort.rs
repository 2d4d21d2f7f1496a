//! SORT over lists and sets, with weights in strings and hashes.
//!
//! Two elements of the same weight have no order in Redis when it sorts text by a pattern and only
//! a part is asked for; such requests are left out. So are sets in no order.

use super::Family;

pub const FAMILY: Family = Family {
    templates: &[
        "RPUSH $sk $se $se $se",
        "RPUSH $sk $se $se*",
        "LPUSH $sk $num $num $num",
        "SADD set $se $se $num $num",
        "SREM set $se",
        "DEL $sk",
        "LPOP $sk",
        "SET $w $num",
        "SET $w $v",
        "SET $w $num",
        "HSET $h f $num",
        "HSET $h f $v g $num",
        "DEL $w $h",
        "SORT $sk",
        "SORT $sk $order",
        "SORT $sk ALPHA $order",
        "SORT $sk LIMIT $s $s",
        "SORT $sk ALPHA LIMIT $s $s $order",
        "SORT $sk BY w_* $order",
        "SORT $sk BY w_* LIMIT $s $s",
        "SORT l BY w_* ALPHA $order",
        "SORT $sk BY h_*->f $order GET # GET w_*",
        "SORT $sk BY $by GET $get GET $get",
        "SORT $sk GET $get GET $get GET $get",
        "SORT l BY nosort $order LIMIT $s $s",
        "SORT l BY nosort GET $get $order",
        "SORT $sk STORE $dest",
        "SORT $sk ALPHA STORE $dest",
        "SORT set BY nosort STORE $dest",
        "SORT $sk BY w_* GET $get GET # STORE $dest",
        "SORT $sk $sort*",
        "SORT $sk BY",
        "SORT_RO $sk ALPHA",
        "SORT_RO $sk BY w_* GET # GET $get",
        "SORT_RO $sk ALPHA STORE $dest",
        "LRANGE $dest 0 -1",
        "TYPE $dest",
        "OBJECT ENCODING $dest",
        "COMMAND GETKEYS SORT $sk BY w_* STORE $dest",
        "COMMAND GETKEYS SORT $sk GET STORE STORE $dest LIMIT STORE x",
        "SET $sk $v",
    ],
    words: &[
        ("sk", &["l", "l", "set", "m", "nosuch"]),
        ("dest", &["dest", "dest", "l", "set"]),
        (
            "se",
            &[
                "1", "2", "3", "4", "5", "10", "-1", "1.5", "x", "b", "a", "", "1e2", "inf",
            ],
        ),
        (
            "num",
            &["1", "2", "3", "4", "5", "10", "7", "1.5", "-3", "8"],
        ),
        ("w", &["w_1", "w_2", "w_3", "w_4", "w_a", "w_"]),
        ("h", &["h_1", "h_2", "h_3", "h_a"]),
        ("order", &["ASC", "DESC", "asc", "desc"]),
        (
            "by",
            &[
                "w_*",
                "h_*->f",
                "h_*->g",
                "nosuch_*",
                "w_*->",
                "h_*->nosuch",
            ],
        ),
        (
            "get",
            &[
                "#", "w_*", "h_*->f", "h_*->g", "constant", "nosuch_*", "*", "w_*->", "h_*",
            ],
        ),
        (
            "sort",
            &[
                "ASC",
                "DESC",
                "ALPHA",
                "LIMIT 0 3",
                "LIMIT 1",
                "LIMIT x 1",
                "GET",
                "STORE",
                "GET #",
                "STORE dest",
                "$v",
            ],
        ),
    ],
};
